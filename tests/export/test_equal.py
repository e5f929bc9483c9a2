"""The C library equals the simulation bit for bit: states, spikes, traces, weights, every step."""

import shutil
import subprocess

import numpy as np
import pytest

from tracegrad.export.account import operations

from .devices import (
    OTHER_NEURONS,
    PAIRS,
    PLATFORMS,
    SANITISED,
    STRICT,
    assert_found_out,
    assert_learned,
    built,
    case,
    ran,
)

STEPS = 10_000


def test_lif_with_eprop_for_ten_thousand_steps_of_digits(compiler, tmp_path):
    done = case("eprop", "LIF", STEPS)
    assert_learned(done)
    assert ran(tmp_path, done.files, compiler, *STRICT, "-O2") == f"equal for {STEPS} steps\n"


def test_sanitisers_find_nothing(compiler, tmp_path):
    files = case("eprop", "LIF", STEPS).files
    assert ran(tmp_path, files, compiler, *STRICT, *SANITISED).startswith("equal for")


def test_clang_compiles_it_without_a_warning(tmp_path):
    if shutil.which("clang") is None:
        pytest.skip("there is no clang")
    files = case("eprop", "LIF", STEPS).files
    assert ran(tmp_path, files, "clang", *STRICT, "-O2").startswith("equal for")


def test_a_cortex_m4_has_the_same_bits(tmp_path):
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    built(tmp_path, case("eprop", "LIF", STEPS).files, "true")
    done = subprocess.run(["make", "arm"], cwd=tmp_path, capture_output=True, text=True)
    assert f"equal for {STEPS} steps" in done.stdout, done.stdout + done.stderr


MUTANTS = {
    "draws of one bit less": ("draws->key[1]) >> 8", "draws->key[1]) >> 9"),
    "another rotation": ("{13u, 15u, 26u, 6u}", "{13u, 15u, 26u, 7u}"),
    "another product": ("0x21F0AAAD", "0x21F0AAAF"),
    "halves go up": ("rest == half && whole % 2 != 0", "rest == half"),
    "no reset": ("(spike ? TG_RESET : INT64_C(0))", "INT64_C(0)"),
    "traces of new spikes": ("learner->spikes_before[i], &rec", "learner->spikes[i], &rec"),
    "a signal of the next step": ("tg_hear(learner, errors, targets);", ""),
    "an error of the wrong sign": ("return output - target;", "return output + target;"),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_library_is_found_out(compiler, tmp_path, mutant):
    old, new = MUTANTS[mutant]
    files = case("eprop", "LIF", STEPS).files
    assert_found_out(tmp_path, files, compiler, old, new)


def test_weights_saturate(compiler, tmp_path):
    """At a rate so large that they do, as the simulation's; and a library without it is found."""
    done = case("eprop", "LIF", 1000, rate=2.0)
    most = max(np.abs(a).max() for name, a in done.end.items() if name.startswith("weights."))
    assert most in (127, 128)
    assert ran(tmp_path, done.files, compiler, *STRICT, "-O2") == "equal for 1000 steps\n"
    old, new = "tg_fit(*weight + bits, TG_WEIGHT)", "(*weight + bits)"
    assert_found_out(tmp_path, done.files, compiler, old, new)


def test_ottt_has_traces_of_lines(compiler, tmp_path):
    done = case("ottt", "LIF", 500)
    assert done.files["rule.h"].startswith("/* Presynaptic")
    assert ran(tmp_path, done.files, compiler, *STRICT, "-O2") == "equal for 500 steps\n"


def test_accumulators_beside_the_weights(compiler, tmp_path):
    """What is left over of a change is kept and fires; a library that keeps nothing is found."""
    done = case("eprop", "LIF", 1000, "accumulate", rate=2.0**-4)
    assert_learned(done)
    assert np.abs(done.end["kept.input"]).max() > 2**9 and "tg_kept" in done.files["learner.h"]
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == "equal for 1000 steps\n"
    old, new = "tg_fit(*kept + fine, TG_KEPT)", "tg_fit(fine, TG_KEPT)"
    assert_found_out(tmp_path, done.files, compiler, old, new)


def test_operations_are_counted(compiler):
    """Draws: one for each number that is rounded by chance, and no other."""
    done = case("eprop", "LIF", STEPS)
    drawn = {n: a.size for n, a in done.end.items() if n.startswith(("weights.", "traces."))}
    assert operations(done.model).draws == sum(drawn.values()) + 8
    weights = [a.size for a in done.model.arrays.values()]
    assert operations(done.model).additions == sum(weights)


@pytest.mark.slow
def test_other_roundings_and_overflows(compiler, tmp_path):
    done = case("block_diagonal", "CubaLIF", STEPS, "odd")
    assert np.any(done.rates > 0.01)
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == f"equal for {STEPS} steps\n"


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "neuron"), [("ottt", "LIF"), ("decolle", "ALIF")])
def test_other_rules_with_accumulators(compiler, tmp_path, rule, neuron):
    done = case(rule, neuron, STEPS, "accumulate", rate=2.0**-4)
    assert_learned(done)
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == f"equal for {STEPS} steps\n"


@pytest.mark.slow
@pytest.mark.parametrize("neuron", OTHER_NEURONS)
def test_other_resets(compiler, tmp_path, neuron):
    """With the rule that differentiates them."""
    done = case("block_diagonal", neuron, 2000)
    assert np.any(done.rates > 0.01)
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == "equal for 2000 steps\n"


@pytest.mark.slow
@pytest.mark.parametrize("numbers", PLATFORMS)
@pytest.mark.parametrize(("rule", "neuron"), PAIRS)
def test_every_rule_and_neuron_for_ten_thousand_steps(compiler, tmp_path, rule, neuron, numbers):
    done = case(rule, neuron, STEPS, numbers)
    assert_learned(done)
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == f"equal for {STEPS} steps\n"
