"""Platforms: the C library is the simulation's twin on all on which something can learn."""

from dataclasses import replace

import jax
import pytest

from tracegrad.errors import UsageError
from tracegrad.export.refusals import check_platform, check_substrate
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.presets import load, names

from .devices import NEURONS, PLATFORMS, STRICT, assert_found_out, assert_learned, case, ran, small

STEPS = 1000
SOME = {
    "loihi1": ("eprop", "CubaLIF", 2.0**-7),
    "loihi2": ("decolle", "LIF", 2.0**-7),
    "reckon": ("block_diagonal", "ALIF", 0.5),  # so fast that changes of one bit at most matter
}
REFUSED = {
    "brainscales2": "BrainScaleS-2 has no format for states, decays, slopes, traces, signals, so",
    "dynapse2": r"DYNAP-SE2 \(mixed signal\) has no part that learns",
    "spinnaker2": "SpiNNaker 2 has no format for weights, states, decays, slopes, traces, signals",
    "xylo": r"Xylo \(digital, inference\) has no part that learns, .* tracegrad export nir",
}


def test_every_platform_is_served_or_refused():
    assert sorted([*PLATFORMS, *REFUSED]) == names()
    for name in PLATFORMS:
        check_platform(load(name))
        check_substrate(substrate(name))


@pytest.mark.parametrize("name", REFUSED)
def test_why_a_platform_has_no_learner(name):
    with pytest.raises(UsageError, match=REFUSED[name]):
        check_platform(load(name))
        check_substrate(substrate(name))


def test_sums_that_saturate_event_by_event_are_refused():
    mcu8 = load("mcu8")
    assert mcu8.order is not None
    eager = replace(mcu8, order=replace(mcu8.order, saturation="event"))
    with pytest.raises(UsageError, match="saturates after every event, and the device once a step"):
        check_platform(eager)


def twin(name):
    rule, neuron, rate = SOME[name]
    return case(rule, neuron, STEPS, name, rate)


@pytest.mark.parametrize("name", SOME)
def test_the_library_is_the_simulation_s_twin(compiler, tmp_path, name):
    done = twin(name)
    assert_learned(done)
    assert ran(tmp_path, done.files, compiler, *STRICT, "-O2") == f"equal for {STEPS} steps\n"


MUTANTS = {
    "a draw for each element": ("loihi1", "TG_CHANCE ? index : 0u", "index"),
    "no slope at the lowest distance": ("loihi2", "at < TG_SLOPES", "at < TG_SLOPES - 1"),
    "more than a bit": ("reckon", "if (TG_WEIGHT_MOST == 0)", "if (1)"),
    "traces with a sign": ("reckon", "return k < format.low", "return k < -format.high"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_library_is_found_out(compiler, tmp_path, mutant):
    name, old, new = MUTANTS[mutant]
    files = twin(name).files
    assert_found_out(tmp_path, files, compiler, old, new)


@pytest.mark.parametrize("neuron", [neuron for neuron in NEURONS if neuron != "LIF"])
def test_ottt_has_one_leak_a_neuron(neuron):
    with jax.enable_x64(True), pytest.raises(UsageError, match=f"one state, got {neuron} with"):
        small("ottt", neuron, "mcu8")
