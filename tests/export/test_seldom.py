"""Learning that is triggered: small signals and changes are dropped, others are made by chance."""

import math

import pytest

from tracegrad.export.exact import least

from .devices import EVERY_RULE, SANITISED, STRICT, assert_found_out, assert_learned, case, ran

RATES = {"quiet": 2.0**-7, "seldom": 2.0**-5}
MUTANTS = {
    "every signal is sent": ("quiet", "< TG_SIGNAL_LEAST", "< 0"),
    "signals of half the threshold are sent": ("quiet", "TG_SIGNAL_LEAST)", "TG_SIGNAL_LEAST / 2)"),
    "every change is made": ("seldom", "< finer.least", "< 0"),
    "a threshold before the chance": ("seldom", "< finer.least", "< finer.least / 4"),
    "another chance": ("seldom", ">= TG_GATE_LEVEL", ">= TG_GATE_LEVEL + TG_GATE_LEVEL / 8"),
    "one draw for all steps": ("seldom", "tg_use(&learner->gate_draws, TG_GATE_USES);", ""),
}


def done(numbers, steps=1000, rule="eprop", neuron="LIF"):
    faster = 8 if rule == "ottt" else 1  # its signals are small, and few pass a threshold
    return case(rule, neuron, steps, numbers, faster * RATES[numbers])


@pytest.mark.parametrize("numbers", RATES)
def test_the_library_is_the_simulation_s_twin(compiler, tmp_path, numbers):
    twin = done(numbers)
    assert_learned(twin)
    assert ran(tmp_path, twin.files, compiler, *STRICT, *SANITISED) == "equal for 1000 steps\n"


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_library_is_found_out(compiler, tmp_path, mutant):
    numbers, old, new = MUTANTS[mutant]
    files = done(numbers).files
    assert_found_out(tmp_path, files, compiler, old, new)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.25, 3.0, 1e-9])
@pytest.mark.parametrize("fraction", [-3, 0, 4, 30])
def test_the_least_number_that_reaches_a_threshold(threshold, fraction):
    k = least(threshold, fraction)
    assert math.ldexp(k, -fraction) >= threshold
    assert k == 0 or math.ldexp(k - 1, -fraction) < threshold


def test_a_threshold_that_no_number_reaches():
    assert least(1e6, 40) == least(math.inf, 0) == 2**53 + 1


@pytest.mark.slow
@pytest.mark.parametrize("numbers", RATES)
@pytest.mark.parametrize(("rule", "neuron"), EVERY_RULE)
def test_every_rule_for_ten_thousand_steps(compiler, tmp_path, rule, neuron, numbers):
    twin = done(numbers, 10_000, rule, neuron)
    assert_learned(twin)
    assert ran(tmp_path, twin.files, compiler, *STRICT, *SANITISED) == "equal for 10000 steps\n"
