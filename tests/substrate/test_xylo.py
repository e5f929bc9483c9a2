"""Xylo's integer step equals plain Python integers, bit for bit, in the order its preset states."""

import jax
import numpy as np
import pytest

import xylo_reference as reference
from tracegrad.substrate.presets import load
from tracegrad.substrate.xylo import IntegerStep


@pytest.fixture(scope="module")
def step():
    return IntegerStep.of(load("xylo"))


def mismatches(step, nets, **mistake):
    """How many networks differ in any bit from the reference."""
    run = jax.jit(step.run)
    wrong, spikes = 0, 0
    for net in nets:
        layer, events, n = reference.padded(net)
        ours = [np.asarray(a)[:, :n] for a in run(layer, events)]
        theirs = [np.asarray(part) for part in zip(*reference.run(net, **mistake), strict=True)]
        wrong += any(not np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        spikes += int(theirs[2].sum())
    assert spikes > 1000, "the networks must spike"
    return wrong


def test_equals_plain_integers_on_300_networks(step):
    assert mismatches(step, [reference.draw(seed) for seed in range(300)]) == 0


@pytest.mark.slow
def test_equals_plain_integers_on_10000_networks(step):
    assert mismatches(step, [reference.draw(seed) for seed in range(1000, 11000)]) == 0


@pytest.mark.parametrize("mistake", [{"late": True}, {"swapped": True}], ids=str)
def test_a_late_saturation_and_a_wrong_order_are_caught(step, mistake):
    nets = [reference.draw(seed) for seed in range(40)]
    assert mismatches(step, nets, **mistake) > 3


def test_the_fields_of_the_preset_change_the_bits():
    """A step that makes the same mistake as the reference agrees with it again."""
    nets = [reference.draw(seed) for seed in range(20)]
    assert mismatches(IntegerStep(every_event=False), nets, late=True) == 0
    assert mismatches(IntegerStep(input_first=False), nets, swapped=True) == 0


def test_a_preset_without_an_integer_step_is_refused():
    with pytest.raises(ValueError, match="SpiNNaker 2 does not state its integer step"):
        IntegerStep.of(load("spinnaker2"))
