"""ReckOn's own rule in C equals the simulation in Python bit for bit, every step."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.data import TASKS
from tracegrad.errors import UsageError
from tracegrad.export.account import operations
from tracegrad.export.reckon import (
    USUAL,
    follow_reckon,
    reckon_device,
    reckon_model,
    reckon_remembered,
    usual_rule,
    write_reckon,
)
from tracegrad.export.source import source, vector
from tracegrad.export.stream import stream
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.reckon import Reckon

from .devices import MCU8, SANITISED, STRICT, Case, assert_found_out, digits, ran

STEPS = 1000
# Around the threshold of 1024.
AROUND = (256, 768, 1280, 1792)
FAST = replace(USUAL, boost=6, readout_boost=10, output_shift=6, thresholds=AROUND)
SLOW = Reckon(rate=3, boost=12, readout_boost=10, levels=(-2, 3, 15, 7, -1))
LEAKS = np.linspace(10e-3, 30e-3, 8)
MUTANTS = {
    "traces that rise from zero": ("cut >= draw && whole != 0", "cut >= draw"),
    "a draw of other bits": (">> (15 - how.point)", "& 127u"),
    "no rounding up": ("(whole + up)", "whole"),
    "products that see the bits behind the point": ("trace >> TG_TRACE_SHIFT", "trace"),
    "traces without a limit": ("(sum > how.most ? how.most : sum)", "sum"),
    "changes of the next chance": ("size >= draw", "size > 2 * draw"),
    "no boost": ("* tg_power(odds.boost)", ""),
    "draws of 32 bits for the readout": ("{TG_READOUT_BOOST, 28}", "{TG_READOUT_BOOST, 32}"),
    "a level of the wrong neuron": ("learner->rows[TG_ROWS - 1][j]", "learner->rows[0][0]"),
    "a neuron reaches itself": ("if (i != j) {", "{"),
    "a readout that learns from old spikes": ("spikes[i] * TG_R", "spikes_before[i] * TG_R"),
    "a signal of twice the size": ("tg_power(TG_LOUDER), 12)", "tg_power(TG_LOUDER), 11)"),
    "an output without its hard ends": ("shifted < -2048 ? 0 : shifted > 2048 ? 4096 : ", ""),
    "the same draws at every step": ("tg_use(&learner->weight_draws, TG_WEIGHT_USES);", ""),
}  # fmt: skip


def network(neuron=None, recurrent=True, size=8):
    own = tg.Dense(size, size, gain=0.25) if recurrent else None
    made = tg.Network(
        tg.Layer(tg.Dense(64, size, gain=4.0), neuron or tg.LIF(), own),
        readout=tg.Readout(size, 10, tau=20e-3),
        dt=1e-3,
    )
    return made.freeze("*.neuron.*").init(jax.random.key(1))


@cache
def twin(rule: Reckon, steps: int) -> Case:
    made, block = reckon_device(network(), substrate("reckon"), rule), digits(steps)

    def seen(state):
        now = reckon_remembered(made, state)
        return now.digest, now.fields["spikes"]

    state, (sums, spikes) = follow_reckon(made, block, seen)
    found = reckon_model(made)
    files = source(made.base, found) | {"vector.h": vector(block, np.asarray(sums))}
    end = {name: np.asarray(a) for name, a in reckon_remembered(made, state).fields.items()}
    return Case(made.base, found, files, block, np.asarray(spikes).mean(axis=0), end)


def test_the_library_is_the_simulation_s_twin(compiler, tmp_path):
    done = twin(FAST, STEPS)
    assert np.any((done.rates > 0.01) & (done.rates < 0.9))
    for name, before in done.model.arrays.items():
        assert np.sum(done.end[f"weights.{name}"] != before) > 10, name
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == f"equal for {STEPS} steps\n"
    weights = sum(a.size for a in done.model.arrays.values())
    assert operations(done.model).draws == weights + 64 + 8 + 8


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_library_is_found_out(compiler, tmp_path, mutant):
    old, new = MUTANTS[mutant]
    files = twin(FAST, STEPS).files
    assert_found_out(tmp_path, files, compiler, old, new)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [FAST, SLOW], ids=["fast", "slow"])
def test_ten_thousand_steps_of_digits(compiler, tmp_path, rule):
    done = twin(rule, 10_000)
    moved = [np.sum(done.end[f"weights.{n}"] != a) for n, a in done.model.arrays.items()]
    assert min(moved) > 20, moved
    assert ran(tmp_path, done.files, compiler, *STRICT, *SANITISED) == "equal for 10000 steps\n"


@pytest.mark.slow
def test_an_untrained_network_learns_digits():
    """The share of steps at which the largest output is the class, of the first and last third."""
    block = stream(TASKS["digits"].make(), 24_000)
    made = reckon_device(network(size=48), substrate("reckon"), replace(USUAL, thresholds=AROUND))
    _, chosen = follow_reckon(made, block, lambda state: state.neurons[1].z[0].argmax())
    first, _, last = (np.asarray(chosen) == block.labels).reshape(3, -1).mean(axis=1)
    assert last > first + 0.1 and last > 0.3, (first, last)


def test_a_folder_says_how_it_learns(tmp_path):
    made = reckon_device(network(), substrate("reckon"), FAST)
    written = write_reckon(made, digits(20), tmp_path / "device")
    text = (written.path / "README.md").read_text()
    assert "one bit up or\ndown where" in text and "gradient descent" not in text


def test_levels_lie_around_the_threshold():
    assert usual_rule(network(), substrate("reckon")) == replace(USUAL, thresholds=AROUND)
    assert usual_rule(network(tg.ALIF()), substrate("reckon")) == USUAL


def test_what_reckon_has_not():
    chip = substrate("reckon")
    for net, numbers, rule, message in (
        (network(), MCU8, FAST, "and traces of 12, and 8-bit microcontroller has others"),
        (network(), chip, Reckon(signal_shift=12), "must fit 32 bits, and may reach"),
        (network(tg.ALIF()), chip, FAST, "ReckOn has LIF neurons, got ALIF"),
        (network(recurrent=False), chip, FAST, "Give its layer a Dense for its own spikes too"),
        (network(tg.LIF(tau_mem=LEAKS)), chip, FAST, "have one decay, and the neurons several"),
    ):
        with pytest.raises(UsageError, match=message):
            made = reckon_device(net, numbers, rule)
            reckon_model(made)
