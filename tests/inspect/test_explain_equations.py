"""The printed equations, evaluated on random states, against the implementation itself."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import tracegrad as tg
from tracegrad.inspect import explain
from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.influence import eligibility
from tracegrad.learn.local import local
from tracegrad.model import NEURONS
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.stage import StageState

from .evaluate import Numbers

BATCH, INPUTS, N, OUTPUTS = 2, 2, 3, 2
EXACT = 1e-12  # float64: a dozen products and sums
rules = tg.rules


class Odd(tg.AbstractNeuron):
    """A neuron of a user: other functions, and a spike inside the step."""

    tau: tg.Positive = tg.positive(4e-3)
    pull: jax.Array = tg.parameter(0.3)
    reset: tg.AbstractReset = tg.SubtractReset()
    surrogate: tg.AbstractSurrogate = tg.Sigmoid()

    def coefficients(self, dt):
        return {"alpha": tg.decay(dt, self.tau), "pull": self.pull}

    def init(self, c):
        return {"u": 0.0 * c["alpha"], "w": 0.0 * c["alpha"]}

    def step(self, c, s, z, current):
        gate = jax.nn.sigmoid(current - s["w"])
        w = jnp.sin(c["pull"] * s["w"]) + gate * jnp.exp(-(s["u"] ** 2)) + 0.25 * z
        u = self.reset(c["alpha"] * s["u"] + jnp.clip(w, -0.5, 0.5) * current, z, 1.0)
        return {"u": u, "w": w + self.surrogate(u - 0.3)}

    def output(self, c, s):
        return jnp.where(s["w"] > 2.0, 0.0, self.surrogate(s["u"] - 0.1)) + jnp.sqrt(
            1.0 + s["w"] ** 2
        )


VARIANTS = {
    "lif": tg.LIF(),
    "lif_normalised_zero": tg.LIF(normalised=True, reset=tg.ZeroReset()),
    "lif_detached": tg.LIF(reset=tg.SubtractReset(detached=True), surrogate=tg.Arctan()),
    "cuba": tg.CubaLIF(v_threshold=0.8),
    "cuba_old": tg.CubaLIF(old_current=True, normalised=False, reset=tg.ZeroReset()),
    "alif": tg.ALIF(normalised=True),
    "alif_refractory": tg.ALIF(refractory_steps=3, reset=tg.ZeroReset(), surrogate=tg.Boxcar()),
    "li": tg.LI(normalised=False),
    "tanh": tg.Tanh(),
    "odd": Odd(),
}
COVERED = {type(neuron) for neuron in VARIANTS.values()}


def test_every_neuron_is_checked():
    assert set(NEURONS) <= COVERED


def network(neuron, readout=5e-3, recurrent=True):
    layer = tg.Layer(
        tg.Dense(INPUTS, N, bias=True), neuron, recurrent=tg.Dense(N, N) if recurrent else None
    )
    last = tg.Readout(N, OUTPUTS, tau=readout, bias=True)
    return tg.Network(layer, readout=last, dt=1e-3).init(random.key(3))


def at_random(tree, seed):
    leaves, treedef = jax.tree.flatten(tree)
    keys = random.split(random.key(seed), len(leaves))
    drawn = [random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(treedef, drawn)


def before_of(circuit):
    """Random states; spikes are 0 or 1 and a refractory counter is a small count."""
    states = at_random(circuit.rest(BATCH), 1)
    hidden = StageState(
        {k: jnp.round(jnp.abs(v)) if k == "r" else v for k, v in states[0].s.items()},
        (states[0].z > 0).astype(float),
    )
    return (hidden, *states[1:])


class Teaching(NamedTuple):
    error: jax.Array
    feedback: tuple
    signal: jax.Array
    gradient: Circuit


@eqx.filter_jit
def push(net, rule, seed):
    """One step of the rule on random states and traces, and what went in."""
    circuit = net.discretise()
    prepared = rule.influence.prepare(circuit)
    taps = rule.filter.taps(circuit)
    memory = at_random(rule.influence.init(prepared, taps, BATCH), seed)
    x = random.normal(random.key(seed + 1), (BATCH, INPUTS))
    moment = circuit.step(before_of(circuit), x, circuit.stages[0].feedforward(x))
    locals_ = tuple(map(local, prepared.stages, moment.before, moment.current))
    after = rule.influence.push(prepared, taps, memory, moment, locals_)
    error = random.normal(random.key(seed + 2), (BATCH, OUTPUTS))
    heard = rule.filter.error(circuit, error, locals_[-1].gain)
    feedback = rule.signal.init(net, random.key(9))
    signals = rule.signal(circuit, feedback, (locals_[0].gain,), heard)
    cotangents = {rule.filter.meets(circuit): signals[0]}, {OUTPUT: error}
    pulled = rule.influence.pull(prepared, after, cotangents)
    return circuit, moment, memory, after, Teaching(error, feedback, signals[0], pulled)


def close(ours, theirs, what):
    np.testing.assert_allclose(
        *np.broadcast_arrays(ours, theirs), rtol=EXACT, atol=EXACT, err_msg=what
    )


def numbers(layer, circuit, moment: Moment, index, axes):
    """The neuron's own equations at this step; arrays have axes (batch, n, *axes)."""
    stage, ones = circuit.stages[index], (1,) * axes

    def column(a):
        return np.asarray(a).reshape(-1, a.shape[-1], *ones)

    names = {"v_threshold": "theta"} if index == 0 else {"alpha": "kappa"}
    values = {names.get(k, k): column(v) for k, v in stage.coefficients.items()}
    values |= {f"{k}[t-1]": column(v) for k, v in moment.before[index].s.items()}
    values["z[t-1]"] = column(moment.before[index].z)
    x = np.asarray(moment.incoming[index])
    values["x_j[t]"] = x.reshape(BATCH, 1, *ones, -1)
    values["W_ij"] = np.asarray(stage.weight).reshape(1, stage.size, *ones, -1)
    values["b_i"] = column(stage.bias)
    if stage.recurrent is not None:
        values["V_ij"] = np.asarray(stage.recurrent).reshape(1, stage.size, *ones, -1)
        values["z_j[t-1]"] = np.asarray(moment.before[index].z).reshape(BATCH, 1, *ones, -1)
    found = Numbers(layer, values)
    found.run("Neuron")
    close(found.values["I[t]"], column(moment.current[index]), "current")
    for row, value in moment.after[index].s.items():
        close(found.values[f"{row}[t]"], column(value), f"state {row}")
    close(found.values["z[t]"], column(moment.after[index].z), "output")
    return found


def synapse(found, memory, after, kind, seen):
    """The trace of one kind of weight, pushed by the printed equations and by the library."""
    eps = {f"eps_{row}[t-1]": np.asarray(getattr(s, kind)) for row, s in memory.rows.items()}
    old = {"e_ij[t-1]": np.asarray(getattr(eligibility(memory), kind)), "x_j": seen}
    if memory.taps:
        old["ebar_ij[t-1]"] = np.asarray(getattr(memory.taps["kappa"], kind))
    found.values |= eps | old
    told = {e.left.name for e in found.equations("Trace")}
    found.run("Trace", "Eligibility", "Filter")
    for row, new in after.rows.items():
        if f"eps_{row}[t]" in told:
            close(found.values[f"eps_{row}[t]"], getattr(new, kind), f"{kind} {row}")
    close(found.values["e_ij[t]"], getattr(eligibility(after), kind), f"{kind} eligibility")
    if memory.taps:
        close(found.values["ebar_ij[t]"], getattr(after.taps["kappa"], kind), f"{kind} filter")


def coefficient(found, memory, after, name):
    """The trace of a coefficient: F in place of the presynaptic term."""
    symbol = {"v_threshold": "theta"}.get(name, name)
    found.values |= {
        f"eps_{row}[t-1]": np.asarray(s.coefficients[name]) for row, s in memory.rows.items()
    }
    found.values["e_ij[t-1]"] = np.asarray(eligibility(memory).coefficients[name])
    found.values["x_j"] = np.zeros(1)
    found.run("Coefficients")

    def forced(row):
        return found.values.get(f"F_{symbol}_{row}[t]", 0.0)

    for equation in found.equations("Trace"):
        row = equation.left.name.removeprefix("eps_").removesuffix("[t]")
        found.values[equation.left.name] = found.of(equation.right) + forced(row)
        close(found.values[equation.left.name], after.rows[row].coefficients[name], f"{name} {row}")
    (e,) = found.equations("Eligibility")
    ours = found.of(e.right) + forced("z")
    close(ours, eligibility(after).coefficients[name], f"{name} eligibility")


def block_case(neuron, rule, readout=5e-3):
    net = network(neuron, readout)
    circuit, moment, memory, after, taught = push(net, rule, 5)
    hidden, last = explain(net, rule).layers
    found = numbers(hidden, circuit, moment, 0, 1)
    found.values["V_ii"] = np.diagonal(circuit.stages[0].recurrent)[None, :, None]
    found.values["kappa"] = np.exp(-1e-3 / (readout or 1.0))
    x, z = np.asarray(moment.incoming[0])[:, None], np.asarray(moment.before[0].z)[:, None]
    for kind, seen in (("recurrent", z), ("bias", np.ones(1)), ("weight", x)):
        synapse(found, memory[0], after[0], kind, seen)
    change(found, circuit, taught)
    for name in circuit.stages[0].coefficients:
        coefficient(found, memory[0], after[0], name)
    below = numbers(last, circuit, moment, 1, 1)
    synapse(below, memory[1], after[1], "weight", np.asarray(moment.incoming[1])[:, None])


def change(found, circuit, taught):
    """The signal, and the weight change of one step of gradient descent at rate 1."""
    found.values["W_o_ki"] = np.asarray(circuit.stages[1].weight).T[None, :, None]
    if taught.feedback:
        found.values["B_ik"] = np.asarray(taught.feedback[0])[None, :, None]
    found.values["delta_k[t]"] = np.asarray(taught.error)[:, None, None]
    found.values["eta"] = np.ones(1)
    found.run("Signal", "Change")
    close(found.values["L_i[t]"], np.asarray(taught.signal)[..., None], "signal")
    whole = found.values["Delta W_ij"].sum(axis=0)
    close(whole, -np.asarray(taught.gradient.stages[0].weight), "change")


@pytest.mark.parametrize("name", VARIANTS)
def test_block_diagonal_is_what_its_equations_say(name):
    block_case(VARIANTS[name], rules.block_diagonal(filter=tg.NoFilter()))


@pytest.mark.parametrize("name", VARIANTS)
def test_eprop_is_what_its_equations_say(name):
    block_case(VARIANTS[name], rules.eprop())


@pytest.mark.parametrize("signal", [tg.signals.Random(), tg.signals.Adaptive()])
def test_feedback_and_a_memoryless_readout(signal):
    block_case(VARIANTS["cuba"], rules.eprop(signal), readout=None)
    block_case(VARIANTS["cuba"], rules.block_diagonal(signal))
