"""Rules as sums of products: run as an engine runs them, they change weights as the library does,
and what has no such form is named."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from jax import random

import tracegrad as tg
from tracegrad.learn.filter import Kappa, NoFilter
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.run import cli
from tracegrad.run.engine_rule import compiled
from tracegrad.substrate.presets import load
from tracegrad.substrate.sum_of_products import by_chance, parse, run

STEPS, INPUTS, N, OUTPUTS = 60, 6, 5, 2
LOIHI1, LOIHI2 = load("loihi1").engine, load("loihi2").engine
EXACT = 1e-10  # float64, some hundred operations one after another
rules, RANDOM = tg.rules, tg.signals.Random


def tau(leak):
    """A time constant whose leak in a step is that."""
    return -1e-3 / np.log(1 - leak)


# Leaks and ratios of them that scales of the engine hold exactly.
LIF = tg.LIF(tau_mem=tau(2.0**-3))
CUBA = tg.CubaLIF(tau_mem=tau(2.0**-3), tau_syn=tau(1 - 0.875**2))
ALIF = tg.ALIF(
    tau_mem=tau(2.0**-3), tau_adapt=tau(2.0**-5), adaptation=0.25, surrogate=tg.SuperSpike()
)
READOUT = tau(2.0**-3)
CASES = {
    "eprop": (LIF, rules.eprop(RANDOM())),
    "eprop of a cascade": (CUBA, rules.eprop(RANDOM())),
    "an adaptive threshold": (ALIF, rules.eprop(RANDOM(), NoFilter())),
    "ottt": (LIF, rules.ottt(RANDOM())),
    "the reset kept": (LIF, rules.d_rtrl(signal=RANDOM())),
    "the present step": (LIF, rules.sltt(RANDOM())),
}


def network(neuron):
    again = tg.Dense(N, N, gain=0.5)
    layer = tg.Layer(tg.Dense(INPUTS, N, gain=2.0), neuron, recurrent=again)
    return tg.Network(layer, readout=tg.Readout(N, OUTPUTS, tau=READOUT), dt=1e-3)


class Lesson:
    """A gradient of the library, and by NumPy alone what lines and neurons do meanwhile."""

    def __init__(self, neuron, rule):
        self.net = network(neuron).init(random.key(0))
        draw = np.random.default_rng(1)
        self.xs = (draw.random((STEPS, INPUTS)) < 0.2).astype(float)
        targets = draw.normal(size=(STEPS, OUTPUTS))
        plan = choose(rule, tg.losses.mean_squared_error(), Work(None, carry=True)).plan
        circuit, feedback = self.net.discretise(), rule.signal.init(self.net, random.key(5))
        arrays = self.xs[:, None], targets[:, None], np.ones((STEPS, 1))
        stream = plan.rest(circuit, 1, random.key(0))
        block = jax.jit(lambda *given: plan.block(*given))
        told = block(circuit, feedback, stream, Data(*map(jnp.asarray, arrays), None))
        hidden, out = told.gradient.stages
        self.gradient = [np.asarray(hidden.weight["current"])]
        self.gradient += [np.asarray(hidden.recurrent["current"])]
        self.gradient += [np.asarray(out.weight["current"])]
        self.live(circuit, np.asarray(feedback[0]), targets, isinstance(rule.filter, Kappa))

    def live(self, circuit, feedback, targets, filtered):
        """The network again: units that subtract their threshold, and a leaky readout."""
        hidden, out = circuit.stages
        c = {name: float(value[0]) for name, value in hidden.coefficients.items()}
        w, w_out = (np.asarray(stage.weight["current"]) for stage in (hidden, out))
        again, kappa = np.asarray(hidden.recurrent["current"]), float(out.coefficients["alpha"][0])
        (z, i_syn, v, b), y = np.zeros((4, N)), np.zeros(OUTPUTS)
        self.spikes, self.read, known = [], [], {"psi": [], "L_i": [], "delta_i": []}
        for x, target in zip(self.xs, targets, strict=True):
            self.spikes.append(z)
            i_syn = c["alpha"] * i_syn * ("beta" in c) + w @ x + again @ z
            gain = 1 - c["beta"] if "beta" in c else 1.0
            v = c.get("beta", c["alpha"]) * v + gain * i_syn - z
            b = c.get("rho", 0.0) * b + z
            over = v - 1.0 - c.get("beta_a", 0.0) * b
            z = (over > 0.0).astype(float)
            y = kappa * y + (1 - kappa) * w_out @ z
            self.read.append(z)
            known["psi"].append((1 + 10.0 * np.abs(over)) ** -2)
            known["L_i"].append(feedback @ (y - target) * (1.0 if filtered else 1 - kappa))
            known["delta_i"].append(y - target)
        assert 0.02 < np.mean(self.read) < 0.5
        self.known = {}
        for name, values in known.items():
            still = np.zeros((1, len(values[0])))
            self.known[f"{name}[t]"] = np.concatenate([values, still])
            self.known[f"{name}[t-1]"] = np.concatenate([still, values])

    def supplied(self, told, rate, copies=1):
        """The traces y of one more step than there are, before they are rounded."""
        values = {}
        for each in told.supplied:
            names = sorted(each.value.free_symbols, key=str)
            value = sp.lambdify(names, each.value)(*(self.known[s.name] for s in names))
            gain = each.gain * (rate if each.learns else 1.0)
            values[each.register] = np.tile(gain * np.maximum(value, 0.0), (1, copies))
        return values

    def learned(self, told, spikes, rate, rounding=lambda x: x, copies=1):
        """The weight's register after all steps, from 0."""
        lines = np.concatenate([spikes, np.zeros((1, np.shape(spikes)[1]))])
        values = self.supplied(told, rate, copies)
        held = {name: np.clip(rounding(value), 0, 127) for name, value in values.items()}
        start = dict.fromkeys("wt", np.zeros((len(next(iter(held.values()))[0]), lines.shape[1])))
        return run(told.rules, told.filters, lines, held, start, rounding)["w"]


@pytest.fixture(scope="module")
def lessons():
    known = {}

    def lesson(name):
        if name not in known:
            known[name] = Lesson(*CASES[name])
        return known[name]

    return lesson


@pytest.mark.parametrize("name", CASES)
def test_the_sums_without_rounding_are_the_gradient(lessons, name):
    lesson, rate = lessons(name), 1.0
    hidden, readout = compiled(lesson.net, CASES[name][1], LOIHI2)
    assert hidden.error < EXACT and not hidden.lacks
    parts = (hidden, lesson.xs), (hidden, lesson.spikes), (readout, lesson.read)
    for (told, spikes), gradient in zip(parts, lesson.gradient, strict=True):
        change = lesson.learned(told, np.asarray(spikes), rate)
        assert np.abs(gradient).max() > 1e-3
        assert np.abs(change + rate * gradient).max() <= EXACT * np.abs(gradient).max()
        assert [parse(str(rule)) for rule in told.rules] == list(told.rules)


@pytest.mark.parametrize("name", CASES)
def test_in_registers_of_seven_bits_the_mean_over_draws_is_within_five_percent(lessons, name):
    lesson, copies = lessons(name), 400
    hidden, _ = compiled(lesson.net, CASES[name][1], LOIHI2)
    heard = lesson.supplied(hidden, 1.0)
    largest = max(heard[each.register].max() for each in hidden.supplied if each.learns)
    rate = min(100.0 / largest, 200.0 / np.abs(lesson.gradient[0]).max())  # nothing saturates
    draws = []
    for seed in range(8):
        rounding = by_chance(np.random.default_rng(seed))
        change = lesson.learned(hidden, lesson.xs, rate, rounding, copies)
        draws.append(change.reshape(copies, N, INPUTS).mean(axis=0))
    wished = -rate * lesson.gradient[0]
    error = np.linalg.norm(np.mean(draws, axis=0) - wished) / np.linalg.norm(wished)
    assert error < 0.05


def test_what_is_lacking_is_named():
    named = {
        "psi[t] is a surrogate derivative, which needs the membrane potential": LOIHI1,
        "L_i[t] is a learning signal, a third factor of every neuron": LOIHI1,
    }
    for why, engine in named.items():
        layer, _ = compiled(network(LIF), rules.eprop(), engine)
        assert not layer.rules and any(lack.startswith(why) for lack in layer.lacks)
    layer, readout = compiled(network(LIF), rules.block_diagonal(), LOIHI2)
    assert layer.lacks == (
        "eps_v[t], ebar_ij[t]: 2 numbers of each synapse that are no filter of its line, there 1.",
        "V_ii is the weight of another synapse.",
    )
    assert readout.rules and not readout.lacks


@pytest.mark.parametrize(
    ("neuron", "rule", "message"),
    [
        (tg.CubaLIF(tau_mem=5e-3, tau_syn=5e-3), rules.decolle(), "have one time constant"),
        (LIF, rules.es_d_rtrl(), "is not linear in the numbers of the synapse"),
        (LIF, rules.rtrl(), "carries no trace of each synapse"),
        (LIF, rules.bptt(), "carries no trace of each synapse"),
        (tg.LIF(tau_mem=1.0), rules.d_rtrl(), "the scale -0.001 of u0*t is beyond m 2^e"),
        (
            tg.LIF(tau_mem=jnp.linspace(5e-3, 2e-2, N)),
            rules.eprop(),
            "alpha differs from neuron to neuron",
        ),
        (tg.ALIF(), rules.eprop(), "eps_b[t], ebar_ij[t]: 2 numbers of each synapse"),
        (tg.GRU(), rules.decolle(), "is nothing that a synapse or its two neurons have"),
        (tg.ALIF(tau_adapt=0.2), rules.decolle(), "the scale -0.005 of u0*t is beyond m 2^e"),
    ],
)
def test_each_limit_has_its_reason(neuron, rule, message):
    lacks = compiled(network(neuron), rule, LOIHI2)[0].lacks
    assert any(message in lack for lack in lacks), lacks


def test_the_slope_takes_the_register_whose_scales_are_closest():
    for adaptation, gain in {0.25: 32.0, 2.0**-4: 8.0}.items():  # their ratio is 2^-7
        neuron = tg.ALIF(tau_mem=tau(2.0**-3), tau_adapt=tau(2.0**-5), adaptation=adaptation)
        adaptive = compiled(network(neuron), rules.decolle(), LOIHI2)[0]
        assert adaptive.supplied[0].gain == gain and adaptive.error < EXACT
        assert [str(rule).count("y1") for rule in adaptive.rules] == [2, 0]


def test_the_command_prints_the_sums_and_writes_them(capsys, tmp_path):
    out = tmp_path / "audit.json"
    sizes = ["--inputs", "6", "--hidden", "8", "--outputs", "2", "--neuron", "LIF"]
    command = ["audit", "decolle", *sizes, "--substrate"]
    assert cli.main([*command, "loihi2", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "  dw = 2^-7*u0*x1*y1 - 2^-7*u0*x1*y2\n" in text
    found = json.loads(out.read_text())["substrate"]
    assert [parse(rule).variable for rule in found["products"][0]["rules"]] == ["w"]
    assert {check["what"]: check["fits"] for check in found["checks"]}["form of a change"]
    assert cli.main([*command, "loihi1"]) == 0
    text = capsys.readouterr().out
    assert "Layer 0: no sum of products:" in text and "needs the membrane potential" in text
    assert "sums of products; none for Layer 0, Readout: does NOT fit [L]" in text
    assert cli.main([*command, "reckon"]) == 0
    assert "form of a change" not in capsys.readouterr().out
