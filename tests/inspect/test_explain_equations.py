"""The printed equations, evaluated on random states, against the implementation itself."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import tracegrad as tg
from tracegrad.inspect import explain
from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import labels
from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.influence import eligibility
from tracegrad.learn.influences.full import on_output
from tracegrad.learn.local import local
from tracegrad.learn.signal import Heard
from tracegrad.model import NEURONS
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.neuron import ports, seen_current
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
        u = self.reset(c["alpha"] * s["u"] + jnp.clip(w, -0.5, 0.5) * current, z, jnp.ones(()))
        return {"u": u, "w": w + self.surrogate(u - 0.3)}

    def output(self, c, s):
        return jnp.where(s["w"] > 2.0, 0.0, self.surrogate(s["u"] - 0.1)) + jnp.sqrt(
            1.0 + s["w"] ** 2
        )


class Gated(tg.AbstractNeuron):
    """A spiking cell of four ports: some of one connection only, one that reaches two states."""

    feedforward_ports: ClassVar[tuple[str, ...]] = ("p", "write", "soma")
    recurrent_ports: ClassVar[tuple[str, ...]] = ("soma", "p", "keep")
    tau: tg.Positive = tg.positive(4e-3)
    reset: tg.AbstractReset = tg.ZeroReset()
    surrogate: tg.AbstractSurrogate = tg.Sigmoid()

    def coefficients(self, dt):
        return {"alpha": tg.decay(dt, self.tau)}

    def init(self, c):
        return {"v": 0.0 * c["alpha"], "m": 0.0 * c["alpha"]}

    def step(self, c, s, z, current):
        keep, write = jax.nn.sigmoid(current["keep"]), jnp.tanh(current["write"])
        m = keep * s["m"] + current["p"] * write - 0.5 * z
        v = c["alpha"] * s["v"] + m * current["soma"] + jnp.sin(current["p"])
        return {"v": self.reset(v, z, jnp.ones(())), "m": m}

    def output(self, c, s):
        return self.surrogate(s["v"] - 0.2 * s["m"])


VARIANTS = {
    "lif": tg.LIF(),
    "lif_normalised_zero": tg.LIF(normalised=True, reset=tg.ZeroReset()),
    "lif_detached": tg.LIF(reset=tg.SubtractReset(detached=True), surrogate=tg.Arctan()),
    "cuba": tg.CubaLIF(v_threshold=0.8),
    "cuba_old": tg.CubaLIF(old_current=True, normalised=False, reset=tg.ZeroReset()),
    "cuba_first": tg.CubaLIF(reset=tg.ZeroReset(), reset_first=True),
    "if": tg.IF(v_threshold=0.7),
    "alif": tg.ALIF(normalised=True),
    "alif_refractory": tg.ALIF(refractory_steps=3, reset=tg.ZeroReset(), surrogate=tg.Boxcar()),
    "li": tg.LI(normalised=False),
    "tanh": tg.Tanh(),
    "odd": Odd(),
    "gated": Gated(),
    "two_compartment": tg.TwoCompartment(),
    "gru": tg.GRU(),
    "lstm": tg.LSTM(),
    "lru": tg.LRU(),
    "adex": tg.AdEx(),
    "izhikevich": tg.Izhikevich(),
    "resonate_and_fire": tg.ResonateAndFire(),
}
# Every neuron is checked with one of the two block rules, every variant with all by `--slow`.
EPROP = ("lif_normalised_zero", "cuba", "if", "resonate_and_fire")
ADJOINT = ("cuba_old", "gated")


def cases(quick):
    return [pytest.param(k, marks=[] if k in quick else pytest.mark.slow) for k in VARIANTS]


def test_every_neuron_is_checked():
    assert set(NEURONS) <= {type(neuron) for neuron in VARIANTS.values()}


def network(neuron, readout=5e-3):
    recurrent = tg.Dense(N, N) if neuron.recurrent_ports else None
    layer = tg.Layer(tg.Dense(INPUTS, N, bias=True), neuron, recurrent)
    last = tg.Readout(N, OUTPUTS, tau=readout, bias=True)
    return tg.Network(layer, readout=last, dt=1e-3).init(random.key(3))


def at_random(tree, seed):
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), tree)


def before_of(circuit):
    """Random states; spikes are 0 or 1 and a refractory counter is a small count."""
    states = at_random(circuit.rest(BATCH), 1)
    hidden = StageState(
        {k: jnp.round(jnp.abs(v)) if k == "r" else v for k, v in states[0].s.items()},
        (states[0].z > 0).astype(float),
    )
    return (hidden, *states[1:])


class Step(NamedTuple):
    """What one step of a rule made of random states, traces, input and error."""

    circuit: Circuit
    moment: Moment
    memory: tuple
    after: tuple
    old: tuple  # eligibility traces before and after
    new: tuple
    signal: jax.Array
    gradient: Circuit


def push(net, rule, memory, before, x, error, feedback):
    """One step of the rule by the library."""
    circuit = net.discretise()
    prepared = rule.influence.prepare(circuit)
    moment = circuit.step(before, x, circuit.stages[0].feedforward(x))
    locals_ = tuple(map(local, prepared.stages, moment.before, moment.current))
    after = rule.influence.push(prepared, rule.filter.taps(circuit), memory, moment, locals_)
    passed = rule.filter.error(circuit, error, locals_[-1].gain["current"])
    ones = jnp.ones(BATCH)
    loss = tg.losses.mean_squared_error()
    heard = Heard(moment, (locals_[0].gain,), passed, error, ones, loss)
    (signal,), _ = rule.signal(circuit, feedback, heard, ())
    cotangents = {rule.filter.meets(circuit): signal}, {OUTPUT: error}
    pulled = rule.influence.pull(prepared, after, cotangents)
    old, new = (tuple(map(eligibility, m)) for m in (memory, after))
    return Step(circuit, moment, memory, after, old, new, signal, pulled)


def close(ours, theirs, what):
    np.testing.assert_allclose(
        *np.broadcast_arrays(ours, theirs), rtol=EXACT, atol=EXACT, err_msg=what
    )


def at_port(stage, head, values, *index):
    """The name of a quantity at each port, and its value."""
    for port, value in values.items():
        (label,) = labels(stage.neuron, (port,))
        yield n.at_port(head, label, *index).name, value


def drives(found, stage, port):
    """Let the synapse be one into `port`: what D of any port stands for."""
    found.run("Drive")
    any_port = "q" if "p" in ports(stage.neuron) else "p"
    for row in stage.rest(1).s:
        found.values[f"D_{any_port}_{row}[t]"] = found.values.get(f"D_{port}_{row}[t]", np.zeros(1))


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
    values["z_j[t-1]"] = np.asarray(moment.before[index].z).reshape(BATCH, 1, *ones, -1)
    for head, weights in (("W", stage.weight), ("V", stage.recurrent or {})):
        for name, weight in at_port(stage, head, weights, "ij"):
            values[name] = np.asarray(weight).reshape(1, stage.size, *ones, -1)
    values |= {name: column(b) for name, b in at_port(stage, "b", stage.bias, "i")}
    found = Numbers(layer, values)
    found.run("Neuron")
    for name, current in at_port(stage, "I", moment.current[index], "", n.NOW):
        close(found.values[name], column(current), f"current {name}")
    for row, value in moment.after[index].s.items():
        close(found.values[f"{row}[t]"], column(value), f"state {row}")
    close(found.values["z[t]"], column(moment.after[index].z), "output")
    return found


def synapse(found, step, index, kind, port, seen):
    """The trace of a weight of one port, pushed by the printed equations and by the library."""

    def of(sources):
        return np.asarray(getattr(sources, kind)[port])

    memory, after = step.memory[index], step.after[index]
    eps = {f"eps_{row}[t-1]": of(s) for row, s in memory.rows.items()}
    old = {"e_ij[t-1]": of(step.old[index]), "x_j": seen}
    if memory.taps:
        old["ebar_ij[t-1]"] = of(memory.taps["kappa1"])
    drives(found, step.circuit.stages[index], port)
    found.values |= eps | old
    told = {e.left.name for e in found.equations("Trace")}
    found.run("Trace", "Eligibility", "Filter")
    for row, new in after.rows.items():
        if f"eps_{row}[t]" in told:
            close(found.values[f"eps_{row}[t]"], of(new), f"{kind} {port} {row}")
    close(found.values["e_ij[t]"], of(step.new[index]), f"{kind} {port} eligibility")
    if memory.taps:
        close(found.values["ebar_ij[t]"], of(after.taps["kappa1"]), f"{kind} {port} filter")


def coefficient(found, step, name):
    """The trace of a coefficient: F in place of the presynaptic term."""
    symbol = {"v_threshold": "theta"}.get(name, name)
    memory, after = step.memory[0], step.after[0]
    found.values |= {
        f"eps_{row}[t-1]": np.asarray(s.coefficients[name]) for row, s in memory.rows.items()
    }
    found.values["e_ij[t-1]"] = np.asarray(step.old[0].coefficients[name])
    found.values["x_j"] = np.zeros(1)
    drives(found, step.circuit.stages[0], None)
    found.run("Coefficients")

    def forced(row):
        return found.values.get(f"F_{symbol}_{row}[t]", 0.0)

    for equation in found.equations("Trace"):
        row = equation.left.name.removeprefix("eps_").removesuffix("[t]")
        found.values[equation.left.name] = found.of(equation.right) + forced(row)
        close(found.values[equation.left.name], after.rows[row].coefficients[name], f"{name} {row}")
    (e,) = found.equations("Eligibility")
    ours = found.of(e.right) + forced("z")
    close(ours, step.new[0].coefficients[name], f"{name} eligibility")


def change(found, step, error, feedback):
    """The signal, and the weight change of one step of gradient descent at rate 1."""
    found.values["W_o_ki"] = np.asarray(step.circuit.stages[1].matrix).T[None, :, None]
    if feedback:
        found.values["B_ik"] = np.asarray(feedback[0])[None, :, None]
    found.values["delta_k[t]"] = np.asarray(error)[:, None, None]
    found.values["eta"] = np.ones(1)
    found.run("Signal", "Change")
    close(found.values["L_i[t]"], np.asarray(step.signal)[..., None], "signal")
    (change,) = found.equations("Change")
    whole = found.values[change.left.name].sum(axis=0)
    *_, port = step.circuit.stages[0].weight  # the trace that was pushed last is of its last port
    close(whole, -np.asarray(step.gradient.stages[0].weight[port]), "change")


def block_case(neuron, rule, readout=5e-3):
    net = network(neuron, readout)
    circuit = net.discretise()
    taps, key = rule.filter.taps(circuit), random.key(0)
    memory = at_random(rule.influence.init(circuit, taps, BATCH, key), 5)
    x, error = at_random((jnp.zeros((BATCH, INPUTS)), jnp.zeros((BATCH, OUTPUTS))), 6)
    feedback = rule.signal.init(net, random.key(9))
    step = push(net, rule, memory, before_of(circuit), x, error, feedback)
    hidden, last = explain(net, rule).layers
    found = numbers(hidden, circuit, step.moment, 0, 1)
    stage = circuit.stages[0]
    for name, weight in at_port(stage, "V", stage.recurrent or {}, "ii"):
        found.values[name] = np.diagonal(weight)[None, :, None]
    found.values["kappa"] = np.exp(-1e-3 / (readout or 1.0))
    z = np.asarray(step.moment.before[0].z)[:, None]
    for kind, seen in (("recurrent", z), ("bias", np.ones(1)), ("weight", np.asarray(x)[:, None])):
        for port in getattr(stage, kind) or {}:
            synapse(found, step, 0, kind, port, seen)
    change(found, step, error, feedback)
    for name in circuit.stages[0].coefficients:
        coefficient(found, step, name)
    below = numbers(last, circuit, step.moment, 1, 1)
    synapse(below, step, 1, "weight", "current", np.asarray(step.moment.incoming[1])[:, None])


@pytest.mark.parametrize("name", cases(set(VARIANTS) - {*EPROP, "alif", "cuba_old"}))
def test_block_diagonal_is_what_its_equations_say(name):
    block_case(VARIANTS[name], rules.block_diagonal(filter=tg.NoFilter()))


@pytest.mark.parametrize("name", cases((*EPROP, "gated")))
def test_eprop_is_what_its_equations_say(name):
    block_case(VARIANTS[name], rules.eprop())


@pytest.mark.parametrize("signal", [tg.signals.Random(), tg.signals.Adaptive()])
def test_feedback_and_a_memoryless_readout(signal):
    block_case(VARIANTS["cuba"], rules.eprop(signal), readout=None)


def adjoint_case(neuron):
    """The printed adjoints of one neuron against reverse mode through its own step and output."""
    net = network(neuron)
    stage = net.discretise().stages[0]
    (hidden, _) = explain(net, rules.bptt()).layers
    draw = np.random.default_rng(3)
    one = StageState(*(at_random(part, 4) for part in (stage.rest(1).s, stage.rest(1).z)))
    s, z = ({k: jnp.abs(v[0, 0]) for k, v in one.s.items()}, (one.z[0, 0] > 0).astype(float))
    c = {k: v[0] for k, v in stage.coefficients.items()}
    names = ports(stage.neuron)
    currents = [{port: jnp.asarray(draw.normal()) for port in names} for _ in range(2)]
    output = stage.neuron.output

    def step(c, s, z, current):
        return stage.neuron.step(c, s, z, seen_current(stage.neuron, current))

    def reverse(later, heard):
        now, back = jax.vjp(step, c, s, z, currents[0])
        z_now, emit = jax.vjp(output, c, now)
        _, ahead = jax.vjp(step, c, now, z_now, currents[1])
        _, past, echo, _ = ahead(later)
        adjoint_z = heard + echo
        shift, emitted = emit(adjoint_z)
        states = jax.tree.map(jnp.add, past, emitted)
        direct, _, _, drive = back(states)
        return now, z_now, adjoint_z, states, drive, jax.tree.map(jnp.add, direct, shift)

    told = {e.left.name for e in hidden.section("Adjoint").equations}
    later = {k: jnp.asarray(draw.normal() if f"lambda_{k}[t]" in told else 0.0) for k in s}
    ahead = {port: draw.normal() for port in stage.recurrent or {}}
    heard = draw.normal()
    now, z_now, adjoint_z, states, drive, shifts = reverse(later, heard + sum(ahead.values()))
    names = {k: {"v_threshold": "theta"}.get(k, k) for k in c}
    values = {names[k]: v for k, v in c.items()}
    values |= {"z[t-1]": z, "z[t]": z_now, "W_ki": np.ones(1), "lambda_I_k[t]": np.array([heard])}
    for when, current in zip((n.NOW, n.AFTER), currents, strict=True):
        values |= at_port(stage, "I", current, "", when)
    values |= at_port(stage, "V", dict.fromkeys(ahead, np.ones(1)), "ki")
    back = {port: np.array([value]) for port, value in ahead.items()}
    values |= at_port(stage, "lambda_I", back, "k", n.AFTER)
    values |= {f"{k}[t-1]": v for k, v in s.items()} | {f"{k}[t]": v for k, v in now.items()}
    values |= {f"lambda_{k}[t+1]": v for k, v in later.items()}
    values |= {"x_j": 1.0, "eta": 1.0, "lambda_I_p[t]": 0.0, "lambda_I_q[t]": 0.0}
    found = Numbers(hidden, {k: np.asarray(v) for k, v in values.items()})
    for equation in found.equations("Neuron"):
        if equation.left.name.startswith("psi"):
            found.values[equation.left.name] = found.of(equation.right)
    after = {f"{k}[t+1]": v for k, v in step(c, now, z_now, currents[1]).items()}
    found.values |= {k: np.asarray(v) for k, v in after.items()}
    found.run("Adjoint", "Change")
    close(found.values["lambda_z[t]"], adjoint_z, "output")
    for row in s:
        if f"lambda_{row}[t]" in told:
            close(found.values[f"lambda_{row}[t]"], states[row], row)
    for name, value in at_port(stage, "lambda_I", drive, "", n.NOW):
        close(found.values[name], value, name)
    for name in c:
        close(found.values[f"Delta {names[name]}"], -shifts[name], name)


@pytest.mark.parametrize("name", [c for c in cases(ADJOINT) if c.values != ("odd",)])
def test_bptt_is_what_its_adjoints_say(name):
    adjoint_case(VARIANTS[name])


def influence_case(neuron):
    """RTRL's influence of the hidden layer's input weights on the layer and on the readout."""
    net, rule = network(neuron), rules.rtrl()
    circuit = net.discretise()
    memory = at_random(rule.influence.init(circuit, {}, BATCH, random.key(0)), 5)
    x = at_random(jnp.zeros((BATCH, INPUTS)), 6)
    moment = circuit.step(before_of(circuit), x, circuit.stages[0].feedforward(x))
    locals_ = tuple(map(local, circuit.stages, moment.before, moment.current))
    after = rule.influence.push(circuit, {}, memory, moment, locals_)
    layers = explain(net, rule).layers
    own = np.eye(N)[None, :, :, None] * np.asarray(x)[:, None, None]
    for index, (layer, seen) in enumerate(zip(layers, (own, np.zeros(1)), strict=True)):
        for port in circuit.stages[0].weight:
            found = numbers(layer, circuit, moment, index, 2)
            reach(found, circuit.stages[index], (memory, after), index, (port, seen))


def reach(found, stage, memories, index, source):
    """The influence of the hidden layer's weights of one port on stage `index`."""
    port, seen = source

    def of(columns):
        return np.asarray(columns[0].weight[port])

    def over_k(columns):  # (batch, k, source, width) with the summed neurons last
        return np.moveaxis(of(columns), 1, -1)[:, None]

    old, new = (memory[index] for memory in memories)
    found.values |= {f"G_{k}[t-1]": of(g) for k, g in old.rows.items()}
    found.values |= {"G_z[t-1]": of(on_output(old, index)), "x_j": seen}
    found.values |= {
        "G_z_k[t-1]": over_k(on_output(old, index)),
        "G_below_k[t]": over_k(on_output(memories[1][0], 0)),
    }
    for head, weights in (("V", stage.recurrent or {}), ("W", stage.weight)):
        for name, weight in at_port(stage, head, weights, "ik"):
            found.values[name] = np.asarray(weight)[None, :, None, None]
    drives(found, stage, port)
    found.run("Influence")
    for equation in found.equations("Influence")[:-1]:
        row = equation.left.name.removeprefix("G_").removesuffix("[t]")
        close(found.values[equation.left.name], of(new.rows[row]), row)
    close(found.values["G_z[t]"], of(on_output(new, index)), "output")


@pytest.mark.parametrize("name", cases(("gated",)))
def test_rtrl_is_what_its_equations_say(name):
    influence_case(VARIANTS[name])
