"""Small networks that learn digits on a device, followed once for all tests."""

import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import tracegrad as tg
from tracegrad.data import TASKS
from tracegrad.export.device import Block, Device, Lesson, device, follow
from tracegrad.export.model import Model, model
from tracegrad.export.remembered import remembered
from tracegrad.export.source import source, vector
from tracegrad.export.stream import stream
from tracegrad.substrate.fixed import Fixed, Wrap
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.number import Number
from tracegrad.substrate.rounding import Floor, Lfsr, Nearest, Stochastic
from tracegrad.substrate.scale import PerMatrix
from tracegrad.substrate.update import Accumulate, Direct
from tracegrad.substrate.weights import Weights

NEURONS = {
    "LIF": tg.LIF(surrogate=tg.SuperSpike(slope=4.0)),
    "CubaLIF": tg.CubaLIF(tau_mem=10e-3, tau_syn=2e-3, normalised=False),
    "ALIF": tg.ALIF(),
}
OTHER_NEURONS = {
    "LIF that resets first": tg.LIF(surrogate=tg.SuperSpike(slope=4.0), reset_first=True),
    "CubaLIF that resets first": tg.CubaLIF(normalised=False, reset_first=True, old_current=True),
    "LIF with a detached reset": tg.LIF(reset=tg.SubtractReset(detached=True)),
}
GAINS = {"CubaLIF": 1.5}  # it sums a current over one time constant more
# ottt has one leak a neuron, and so no more than one state: see `test_platforms`.
PAIRS = [(r, n) for r in ("eprop", "block_diagonal", "decolle") for n in NEURONS] + [
    ("ottt", "LIF")
]
PLATFORMS = ("loihi1", "loihi2", "mcu8", "reckon")  # those on which the simulation learns
MCU8 = substrate("mcu8")
# Registers of fewer, of as many and of more bits than the 24 that a draw has.
NARROW = Lfsr()
MIDDLE = Lfsr(width=24, taps=(24, 23, 22, 17), seed=0xBEEF)
WIDE = Lfsr(width=32, taps=(32, 22, 2, 1), seed=0x2CE1ACE1)
SUBSTRATES = {name: substrate(name) for name in PLATFORMS} | {
    "accumulate": replace(
        MCU8, weights=Weights(Fixed(8), PerMatrix(), Accumulate(Fixed(12, 10), Nearest()))
    ),
    # What mcu8 has not: floor, wrapping, no sign, one draw for all, one bit at most.
    "odd": replace(
        MCU8,
        weights=Weights(Fixed(6), PerMatrix(), Direct(Stochastic(shared=True), most=1)),
        states=Number(Fixed(14, 9, overflow=Wrap()), Floor()),
        traces=Number(Fixed(12, 7, signed=False), Stochastic(shared=True)),
        signals=Number(Fixed(12, 10)),
    ),
    "quiet": replace(MCU8, signal_threshold=1 / 32),
    "seldom": replace(
        MCU8, weights=Weights(Fixed(8), PerMatrix(), Direct(), threshold=0.01, chance=0.25)
    ),
    "registers": replace(
        MCU8,
        weights=Weights(Fixed(8), PerMatrix(), Direct(WIDE)),
        traces=Number(Fixed(16, 10), NARROW),
        signals=Number(Fixed(16, 14), MIDDLE),
    ),
    "one register": replace(
        MCU8,
        weights=Weights(Fixed(8), PerMatrix(), Direct(replace(WIDE, shared=True)), chance=0.5),
        traces=Number(Fixed(16, 10), Stochastic()),
        signals=Number(Fixed(16, 14), replace(MIDDLE, shared=True)),
    ),
}
EVERY_RULE = [
    ("eprop", "LIF"),
    ("block_diagonal", "CubaLIF"),
    ("decolle", "ALIF"),
    ("ottt", "LIF"),
]
SANITISED = ("-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


class Case(NamedTuple):
    """A device, its C files, the test vector, and what was seen at every step."""

    device: Device
    model: Model
    files: dict[str, str]
    block: Block
    rates: np.ndarray
    end: dict[str, np.ndarray]


def small(rule: str, neuron: str, numbers: str, rate: float = 2.0**-7, size: int = 8) -> Device:
    unit, gain = OTHER_NEURONS.get(neuron) or NEURONS[neuron], GAINS.get(neuron, 4.0)
    net = tg.Network(
        tg.Layer(tg.Dense(64, size, gain=gain), unit, tg.Dense(size, size, gain=gain / 16)),
        readout=tg.Readout(size, 10, tau=20e-3),
        dt=1e-3,
    ).freeze("*.neuron.*")
    lesson = Lesson(getattr(tg.rules, rule)(), SUBSTRATES[numbers], rate, 3)
    return device(net.init(jax.random.key(1)), lesson)


@cache
def digits(steps: int) -> Block:
    """Digits one after the other; every seventh step has no class, so that nothing is learned."""
    block = stream(TASKS["digits"].make(), steps)
    labels = np.where(np.arange(steps) % 7 == 6, -1, block.labels)
    return block._replace(labels=labels)


@cache
def case(rule: str, neuron: str, steps: int, numbers: str = "mcu8", rate: float = 2.0**-7) -> Case:
    made, block = small(rule, neuron, numbers, rate), digits(steps)

    def seen(state):
        now = remembered(made, state)
        return now.digest, now.fields["spikes"]

    state, (sums, spikes) = follow(made, block, seen)
    found = model(made)
    files = source(made, found) | {"vector.h": vector(block, np.asarray(sums))}
    end = {name: np.asarray(a) for name, a in remembered(made, state).fields.items()}
    return Case(made, found, files, block, np.asarray(spikes).mean(axis=0), end)


def assert_learned(done: Case) -> None:
    """Neurons spike and rest, and weights of every matrix moved."""
    assert np.any((done.rates > 0.01) & (done.rates < 0.9))
    for name, before in done.model.arrays.items():
        assert np.mean(done.end[f"weights.{name}"] != before) > 0.2, name


def built(folder: Path, files: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Write the files and build the test program with a compiler's command."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    names = ("learner.c", "test.c", "-o", "test.out")
    return subprocess.run([*command, *names], cwd=folder, capture_output=True, text=True)


def ran(folder: Path, files: dict[str, str], *command: str) -> str:
    """What the test program says."""
    done = built(folder, files, *command)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["./test.out"], cwd=folder, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return done.stdout


def assert_found_out(folder, files, compiler, old, new):
    """The library with a part of its text replaced is told from its twin."""
    changed = {name: text.replace(old, new) for name, text in files.items()}
    assert changed != files
    assert ran(folder, changed, compiler, "-O1", "-w").startswith("different at step")
