"""The library in single precision does what the simulation in float64 does, within what it says."""

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import jax
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.errors import UsageError
from tracegrad.export.device import Lesson, device
from tracegrad.export.real import NAME, check_real, real_source, real_vector, wished, write_real
from tracegrad.substrate.substrate import IDEAL

from .devices import SANITISED, STRICT, digits

STEPS = 10_000
NEURONS = {
    "LIF": tg.LIF(surrogate=tg.SuperSpike(slope=4.0)),
    "CubaLIF": tg.CubaLIF(normalised=False, surrogate=tg.Sigmoid(), reset=tg.ZeroReset()),
    "ALIF": tg.ALIF(),
    "AdEx": tg.AdEx(),
    "Tanh": tg.Tanh(),
}


def small(rule, neuron, rate=0.01, recurrent=True):
    again = tg.Dense(8, 8, gain=0.3) if recurrent else None
    layer = tg.Layer(tg.Dense(64, 8, gain=4.0), NEURONS[neuron], again)
    net = tg.Network(layer, readout=tg.Readout(8, 10, tau=20e-3), dt=1e-3).freeze("*.neuron.*")
    lesson = Lesson(rule, replace(IDEAL, name=NAME), rate, 3)
    return device(net.init(jax.random.key(1)), lesson)


@cache
def library(name, neuron, steps):
    signal = tg.signals.Random() if name == "random" else tg.signals.Symmetric()
    make = tg.rules.block_diagonal if name == "block_diagonal" else tg.rules.eprop
    made = small(make(signal), neuron, recurrent=name != "no recurrence")
    block = digits(steps)
    found = wished(made, block)
    assert 0.01 < found.spikes.mean() < 0.9
    for before, after in zip(
        jax.tree.leaves(made.state.network), found.weights.values(), strict=False
    ):
        assert not np.array_equal(before, after)
    return real_source(made) | {"vector.h": real_vector(block, found)}


class Said(NamedTuple):
    """For how many steps spikes were equal, the share that differs, and of the weights."""

    equal: int
    spikes: float
    weights: float

    @staticmethod
    def of(text):
        found = re.fullmatch(
            r"equal for (\d+) of \d+ steps; spikes that differ (\S+), weights (\S+)\n", text
        )
        assert found, text
        return Said(int(found[1]), float(found[2]), float(found[3]))


def linked(folder, files, *command):
    """What the test program says, linked with the library of mathematics."""
    for name, text in files.items():
        (folder / name).write_text(text)
    build = (*command, "learner.c", "test.c", "-lm", "-o", "test.out")
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["./test.out"], cwd=folder, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return Said.of(done.stdout)


def test_lif_with_eprop_for_ten_thousand_steps_of_digits(compiler, tmp_path):
    files = library("eprop", "LIF", STEPS)
    double = linked(tmp_path, files, compiler, *STRICT, "-O2", "-DTG_DOUBLE")
    assert double.equal == STEPS and double.weights <= 1e-5
    single = linked(tmp_path, files, compiler, *STRICT, "-O2")
    assert single.equal >= 1000 and single.spikes < 0.05


@pytest.mark.parametrize(
    ("rule", "neuron"),
    [
        ("block_diagonal", "CubaLIF"),
        ("block_diagonal", "ALIF"),
        ("random", "LIF"),
        ("no recurrence", "AdEx"),
    ],
)
def test_other_rules_and_neurons(compiler, tmp_path, rule, neuron):
    files = library(rule, neuron, 1000)
    double = linked(tmp_path, files, compiler, *STRICT, *SANITISED, "-DTG_DOUBLE")
    assert double.equal == 1000 and double.weights <= 1e-9
    single = linked(tmp_path, files, compiler, *STRICT, *SANITISED)
    assert single.weights < (1e-5 if single.equal == 1000 else 0.1)


MUTANTS = {
    "no echo": ("neuron.own[row][col] += echo[row] * before[col];", ""),
    "traces of new spikes": ("learner->spikes_before[i]);", "learner->spikes[i]);"),
    "a signal that is late": ("tg_learn_hidden(learner, events, signals);", ""),
    "no filter": ("met = TG_KAPPA * *filtered + TG_READOUT_GAIN * met;", ""),
    "autapses that stay": ("if (TG_AUTAPSES || i != j)", "if (i != j)"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_library_is_found_out(compiler, tmp_path, mutant):
    old, new = MUTANTS[mutant]
    files = library("block_diagonal", "ALIF", 1000)
    changed = {name: text.replace(old, new) for name, text in files.items()}
    assert changed != files
    assert linked(tmp_path, changed, compiler, "-O1", "-w", "-DTG_DOUBLE").weights > 1e-5


def test_clang_compiles_it_without_a_warning(tmp_path):
    if shutil.which("clang") is None:
        pytest.skip("there is no clang")
    assert linked(tmp_path, library("eprop", "LIF", STEPS), "clang", *STRICT).equal >= 1000


def test_the_folder_has_all_that_make_needs(compiler, tmp_path):
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    done = write_real(small(tg.rules.eprop(), "LIF"), digits(100), tmp_path / "device")
    made = subprocess.run(["make", "test"], cwd=done.path, capture_output=True, text=True)
    assert made.returncode == 0 and made.stdout.count("equal for") == 2, made.stderr
    text = (done.path / "README.md").read_text()
    assert "64-8r-10" in text and "learning rate\n0.01" in text and "@" not in text


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (tg.rules.ottt(), "ottt has no form in float32"),
        (tg.rules.decolle(), "has the signals symmetric and random, got LocalReadout"),
        (tg.rules.rtrl(), "rtrl has no form in float32"),
    ],
)
def test_what_it_has_not_is_refused(rule, message):
    with jax.enable_x64(True), pytest.raises(UsageError, match=message):
        check_real(small(rule, "LIF"))
