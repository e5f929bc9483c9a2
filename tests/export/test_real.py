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

from .devices import GAINS, SANITISED, STRICT, digits
from .devices import NEURONS as DEVICES

STEPS = 10_000
NEURONS = {
    "LIF": tg.LIF(surrogate=tg.SuperSpike(slope=4.0)),
    "CubaLIF": replace(DEVICES["CubaLIF"], surrogate=tg.Sigmoid(), reset=tg.ZeroReset()),
    "ALIF": tg.ALIF(),
    "AdEx": tg.AdEx(),
    "Tanh": tg.Tanh(),
}


def small(rule, neuron, rate=0.01, recurrent=True):
    again = tg.Dense(8, 8, gain=0.3) if recurrent else None
    layer = tg.Layer(tg.Dense(64, 8, gain=GAINS.get(neuron, 4.0)), NEURONS[neuron], again)
    net = tg.Network(layer, readout=tg.Readout(8, 10, tau=20e-3), dt=1e-3).freeze("*.neuron.*")
    lesson = Lesson(rule, replace(IDEAL, name=NAME), rate, 3)
    return device(net.init(jax.random.key(1)), lesson)


RULES = {
    "random": lambda: tg.rules.eprop(tg.signals.Random()),
    "no recurrence": tg.rules.eprop,
    "ottt by random weights": lambda: tg.rules.ottt(tg.signals.Random()),
}


@cache
def library(name, neuron, steps):
    make = RULES.get(name) or getattr(tg.rules, name)
    made = small(make(), neuron, recurrent=name != "no recurrence")
    block = digits(steps)
    found = wished(made, block)
    assert 0.01 < found.spikes.mean() < 0.9
    for before, after in zip(
        jax.tree.leaves(made.state.network), found.weights.values(), strict=False
    ):
        assert not np.array_equal(before, after)
    return real_source(made) | {"vector.h": real_vector(block, found)}


class Said(NamedTuple):
    """In double: for how many steps spikes were equal, and how far weights are off in the end. In
    single: how far a step is off, how many spikes, and for how many steps spikes were equal."""

    equal: int
    weights: float
    off: float
    parted: int
    alone: int

    @staticmethod
    def of(text):
        found = re.fullmatch(
            r"double: equal for (\d+) of \d+ steps; weights (\S+)\n"
            r"single: a step off by (\S+), (\d+) spikes; alone equal for (\d+) steps\n",
            text,
        )
        assert found, text
        counts = int(found[1]), float(found[2]), float(found[3]), int(found[4]), int(found[5])
        return Said(*counts)


def linked(folder, files, *command):
    """What the test program says and whether it is content, linked with the mathematics."""
    for name, text in files.items():
        (folder / name).write_text(text)
    build = (*command, "learner.c", "double.c", "test.c", "-lm", "-o", "test.out")
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["./test.out"], cwd=folder, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return Said.of(done.stdout), done.returncode == 0


PAIRS = [
    ("block_diagonal", "CubaLIF"),
    ("decolle", "ALIF"),
    ("ottt", "LIF"),
    ("ottt by random weights", "LIF"),
    ("random", "LIF"),
    ("no recurrence", "AdEx"),
]
OFF = (
    2.0**-18
)  # of the largest number of a kind: some tens of roundings of 2^-24, one after another


def assert_right(said, steps):
    """In double all is the simulation's; in single a step is, up to its roundings."""
    assert said.equal == steps and said.weights <= 1e-5
    assert said.off <= OFF and said.parted <= 1


def test_lif_with_eprop_for_ten_thousand_steps_of_digits(compiler, tmp_path):
    said, content = linked(tmp_path, library("eprop", "LIF", STEPS), compiler, *STRICT, "-O2")
    assert_right(said, STEPS)
    assert content and said.alone >= 1000


@pytest.mark.parametrize(("rule", "neuron"), PAIRS)
def test_other_rules_and_neurons(compiler, tmp_path, rule, neuron):
    said, content = linked(tmp_path, library(rule, neuron, 500), compiler, *STRICT, *SANITISED)
    assert_right(said, 500)
    assert content


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "neuron"), PAIRS)
def test_they_do_for_ten_thousand_steps(compiler, tmp_path, rule, neuron):
    said, content = linked(tmp_path, library(rule, neuron, STEPS), compiler, *STRICT, *SANITISED)
    assert_right(said, STEPS)
    assert content


MUTANTS = {
    "no echo": ("block_diagonal", "neuron.own[row][col] += echo[row] * before[col];", ""),
    "new spikes": ("block_diagonal", "learner->spikes_before[i]);", "learner->spikes[i]);"),
    "late signals": ("block_diagonal", "tg_learn_hidden(learner, events, signals);", ""),
    "no filter": ("eprop", "met = TG_KAPPA * *filtered + TG_READOUT_GAIN * met;", ""),
    "no autapses": ("decolle", "if (TG_AUTAPSES || i != j)", "if (i != j)"),
    "no target": ("decolle", "sum - targets[k]", "sum"),
    "no leak": ("ottt", "leak * traces->input[i]", "traces->input[i]"),
    "lines late": ("ottt", "traces->recurrent[i] + learner->spikes_before", "learner->spikes"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_library_is_found_out(compiler, tmp_path, mutant):
    rule, old, new = MUTANTS[mutant]
    files = library(rule, "LIF" if rule == "ottt" else "ALIF", 500)
    changed = {name: text.replace(old, new) for name, text in files.items()}
    assert changed != files
    said, content = linked(tmp_path, changed, compiler, "-O1", "-w")
    assert not content and said.weights > 1e-5


def test_constants_that_are_off_in_single_precision_are_found_out(compiler, tmp_path):
    files = library("ottt", "LIF", 500)
    coarse = "(tg_real)((x) * (sizeof(tg_real) == 4 ? 1.00001 : 1.0))"
    changed = files | {"learner.h": files["learner.h"].replace("((tg_real)(x))", f"({coarse})")}
    assert changed != files
    said, content = linked(tmp_path, changed, compiler, "-O1", "-w")
    assert not content and said.equal == 500 and said.off > OFF


def test_clang_compiles_it_without_a_warning(tmp_path):
    if shutil.which("clang") is None:
        pytest.skip("there is no clang")
    for rule in ("eprop", "ottt"):
        said, content = linked(tmp_path, library(rule, "LIF", 500), "clang", *STRICT)
        assert_right(said, 500)
        assert content


def test_the_folder_has_all_that_make_needs(compiler, tmp_path):
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    done = write_real(small(tg.rules.eprop(), "LIF"), digits(100), tmp_path / "device")
    made = subprocess.run(["make", "test"], cwd=done.path, capture_output=True, text=True)
    assert made.returncode == 0 and made.stdout.count("equal for 100") == 2, made.stderr
    text = (done.path / "README.md").read_text()
    assert "64-8r-10" in text and "learning rate\n0.01" in text and "@" not in text


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (tg.rules.eprop(tg.signals.Uniform()), "symmetric, random and local, got Uniform"),
        (tg.rules.rtrl(), "rtrl has no form in float32"),
    ],
)
def test_what_it_has_not_is_refused(rule, message):
    with jax.enable_x64(True), pytest.raises(UsageError, match=message):
        check_real(small(rule, "LIF"))
