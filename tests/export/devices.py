"""Small networks that learn digits on the 8-bit microcontroller, followed once for all tests."""

import subprocess
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
from tracegrad.substrate.from_preset import substrate

NEURONS = {
    "LIF": tg.LIF(surrogate=tg.SuperSpike(slope=4.0)),
    "CubaLIF": tg.CubaLIF(normalised=False),
    "ALIF": tg.ALIF(),
}
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


class Case(NamedTuple):
    """A device, its C files, the test vector, and what was seen at every step."""

    device: Device
    model: Model
    files: dict[str, str]
    block: Block
    rates: np.ndarray
    end: dict[str, np.ndarray]


def small(rule: str, neuron: str, size: int = 8, **options: object) -> Device:
    net = tg.Network(
        tg.Layer(tg.Dense(64, size, gain=4.0), NEURONS[neuron], tg.Dense(size, size, gain=0.3)),
        readout=tg.Readout(size, 10, tau=20e-3),
        dt=1e-3,
    ).freeze("*.neuron.*")
    lesson = Lesson(getattr(tg.rules, rule)(), substrate("mcu8"), 2.0**-6, 3)
    return device(net.init(jax.random.key(1)), lesson)


@cache
def digits(steps: int) -> Block:
    return stream(TASKS["digits"].make(), steps)


@cache
def case(rule: str, neuron: str, steps: int) -> Case:
    made, block = small(rule, neuron), digits(steps)

    def seen(state):
        now = remembered(made, state)
        return now.digest, now.fields["spikes"]

    state, (sums, spikes) = follow(made, block, seen)
    found = model(made)
    files = source(made, found) | {"vector.h": vector(block, np.asarray(sums))}
    end = {name: np.asarray(a) for name, a in remembered(made, state).fields.items()}
    return Case(made, found, files, block, np.asarray(spikes).mean(axis=0), end)


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
