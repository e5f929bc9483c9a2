"""Every rule of the library is what its printed equations say: run as a program from a random
state, they change every weight and coefficient as the library does."""

from collections import defaultdict
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import tracegrad as tg
from claims import assert_alive, network
from tracegrad.inspect import explain
from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influences.kernel import _draw
from tracegrad.learn.influences.masked import Masked, kept_pairs
from tracegrad.learn.influences.rank_one import signs_like
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.learn.rules import RULES
from tracegrad.learn.signals import synthetic
from tracegrad.model.stage import StageState

from .interpreters import (
    WEIGHTS,
    Backward,
    Direction,
    Pairs,
    Product,
    Program,
    Reach,
    Synapses,
    gathered,
    one,
)
from .program import Scope, equations, off, on, renamed

STEPS, BATCH, INPUTS, OUTPUTS = 4, 2, 4, 2
EXACT = 1e-10  # float64, a few hundred operations one after another
rules = tg.rules
LIF, CUBA, ALIF = tg.LIF(tau_mem=5e-3), tg.CubaLIF(normalised=False), tg.ALIF(tau_adapt=20e-3)


def at_random(tree, seed):
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), tree)


class Case:
    """A network, a rule, and what the library makes of them from a random state."""

    def __init__(self, net, rule):
        self.net, self.rule, self.circuit = net, rule, net.discretise()
        rewarded = rule.name == "reward_eprop"
        self.loss = tg.losses.actor_critic() if rewarded else tg.losses.mean_squared_error()
        draw = np.random.default_rng(0)
        xs = (draw.random((STEPS, BATCH, INPUTS)) < 0.5).astype(float)
        outputs = net.readout.input.outputs
        ys = draw.normal(size=(STEPS, BATCH, outputs))
        if rewarded:
            ys[..., :-1] = np.eye(outputs - 1)[draw.integers(0, outputs - 1, (STEPS, BATCH))]
        weight = draw.random((STEPS, BATCH)) + 0.5
        weight[1, 0] = 0.0
        self.data = Data(*map(jnp.asarray, (xs, ys, weight)), None)
        self.feedback = rule.signal.init(net, random.key(5))
        plan = choose(rule, self.loss, Work(None, carry=True)).plan
        rest = plan.rest(self.circuit, BATCH, random.key(0))
        state = at_random(rest.state, 1)
        spikes = [s._replace(z=(s.z > 0).astype(float)) for s in state[:-1]]
        self.stream = rest._replace(state=(*spikes, state[-1]))
        block = jax.jit(lambda *given: plan.block(*given))
        self.outcome = block(self.circuit, self.feedback, self.stream, self.data)
        self.learned = None
        if rule.signal.adapts:
            signal = self.outcome.stream.signal
            learn = jax.jit(lambda *given: rule.signal.learn(*given))
            self.learned = learn(self.circuit, self.feedback, self.outcome.gradient, signal)
        assert_alive(net, self.outcome.rates)
        self.told = self._told(explain(net, rule))

    def _told(self, told):
        stages = {}
        for layer in told.layers:
            name = layer.name.partition(":")[0]
            numbers = name.removeprefix("Layers").removeprefix("Layer").split(",")
            last = len(self.circuit.stages) - 1
            stages |= {last if name == "Readout" else int(n): layer for n in numbers}
        return [stages[index] for index in sorted(stages)]

    def error(self, y, t, target=None):
        """dLoss/dy by hand."""
        target = np.asarray(self.data.ys[t] if target is None else target)
        share = np.asarray(self.data.weight[t])[:, None] / BATCH
        if self.rule.name != "reward_eprop":
            return share * (y - target)
        logits = np.exp(y[:, :-1])
        policy = logits / logits.sum(axis=1, keepdims=True) - target[:, :-1]
        return share * np.concatenate([policy, np.full_like(y[:, -1:], -0.5)], axis=1)


class Signals:
    """What a signal needs beside its equations: fixed weights, targets, and what it learned."""

    def __init__(self, case, program):
        self.case, self.program = case, program
        self.layers = list(zip(program.hidden, program.told, strict=False))
        self.taught = defaultdict(float)
        for index, (scope, _) in enumerate(self.layers):
            self.begin(index, scope.values)

    def begin(self, index, values):
        """Values that stay."""
        matrix = self.case.feedback[index] if self.case.feedback else None
        if matrix is not None:
            values["B_ik"] = on("ik", matrix)

    def push(self, t):
        """From the last layer to the first."""
        for index, (scope, told) in reversed(list(enumerate(self.layers))):
            scope.values["share[t]"] = on("n", self.case.data.weight[t] / BATCH)
            scope.values["y_target_k[t]"] = on("nk", self.case.data.ys[t])
            self.hear(index, scope, told, t)

    def hear(self, index, scope, told, t):
        """The signal of one layer."""
        scope.run(equations(told, "Past", "Signal"), lambda name: name != "L_iu[t]")

    def end(self, readout):
        """The change of the feedback itself, from that of the readout's weights."""
        for index, (scope, told) in enumerate(self.layers):
            for equation in equations(told, "Feedback"):
                inner = Scope({"Delta W_o_ki": on("ki", readout)}, scope)
                self.taught[index] = off("ik", inner.of(equation.right))


class LocalReadouts(Signals):
    def begin(self, index, values):
        matrix = np.asarray(self.case.feedback[index])
        values |= {"W_local_ki": on("ki", matrix[:-1].T), "b_local_k": on("k", matrix[-1])}

    def hear(self, index, scope, told, t):
        scope.run(equations(told, "Local readout"))
        y = scope.values["y_local_k[t]"]
        delta = self.case.error(y.reshape(BATCH, -1), t)
        scope.values["delta_local_k[t]"] = on("nk", delta)
        scope.run(equations(told, "Signal"))


class Kernels(Signals):
    """The noisy copy is the network's own equations with noise on top of its currents."""

    def begin(self, index, values):
        half = len(self.program.hidden)
        values["A_ki"] = on("ki", self.case.feedback[index])
        values["decay_i"] = on("i", jax.nn.sigmoid(self.case.feedback[half + index][:, 0]))
        memory, circuit = self.case.stream.signal, self.case.circuit
        self.copy, self.keys = Program(self.case.told, circuit, memory.state), memory.key

    def push(self, t):
        xi = {}
        for index, (scope, _) in enumerate(self.layers):
            gain = {"current": jnp.asarray(scope.values["g_i[t]"].reshape(BATCH, -1))}
            xi[index] = on("ni", _draw(now(self.keys, t), index, gain)["current"])
            scope.values["gxi_i[t]"] = scope.values["g_i[t]"] * xi[index]
        sigma = self.case.rule.signal.noise
        self.copy.forward(
            self.case.data.xs[t], {index: sigma * noise for index, noise in xi.items()}
        )
        for (scope, _), noisy in zip(self.layers, self.copy.stages, strict=False):
            scope.values["zn_k[t]"] = renamed(noisy.values["z[t]"], "i", "k")
        super().push(t)
        self.copy.tick()

    def hear(self, index, scope, told, t):
        super().hear(index, scope, told, t)
        scope.run(equations(told, "Kernel"))
        half = len(self.program.hidden)
        self.taught[index] += off("ki", scope.values["Delta A_ki"]) / BATCH
        self.taught[half + index] += off("i", scope.values["Delta logit_i"])[:, None] / BATCH


class Predictions(Signals):
    """What credit is given to, and H and q of it by AD of the library's own step."""

    def begin(self, index, values):
        values["A_md"], values["batch"] = on("md", self.case.feedback[0]), one(BATCH)

    def hear(self, index, scope, told, t):
        before = self.state("[t-1]"), self.readout("[t-1]")
        here = synthetic.Carried(self.state("[t]"), before[1])
        x, target = self.case.data.xs[t], self.case.data.ys[t]
        weight = self.case.data.weight[t]
        flat = synthetic._flat(here)
        seen = jnp.concatenate([flat, weight[:, None] * target, jnp.ones((BATCH, 1))], axis=1)
        slopes, known = _slopes(self.case, synthetic.Carried(*before), here, x, target, weight)
        scope.values |= {"a_d[t]": on("nd", seen), "q_m[t]": on("nm", known)}
        scope.values["H_pm[t]"] = on("npm", slopes)
        credit, *heard = equations(told, "Signal")
        scope.run([credit])
        c = scope.values["c_m[t]"]
        scope.values["c_p[t]"] = renamed(c, "m", "p")
        layer = synthetic._like(here, jnp.asarray(c.reshape(BATCH, -1))).layer
        rows = {**layer.s, "z": layer.z}
        scope.values |= {f"c_{row}_i[t]": on("ni", value) for row, value in rows.items()}
        scope.run(heard)
        scope.values["a_b[t-1]"] = renamed(scope["a_d[t-1]"], "d", "b")
        scope.run(equations(told, "Prediction"))
        self.taught[0] = self.taught[0] + off("mb", scope.values["Delta A_mb"]) / BATCH

    def state(self, when):
        rows = self.case.stream.state[0].s
        values = self.program.stages[0].values
        s = {row: jnp.asarray(values[f"{row}{when}"].reshape(BATCH, -1)) for row in rows}
        return StageState(s, jnp.asarray(values[f"z{when}"].reshape(BATCH, -1)))

    def readout(self, when):
        values = self.program.stages[-1].values
        rows = self.case.stream.state[-1].s
        return {row: jnp.asarray(values[f"{row}{when}"].reshape(BATCH, -1)) for row in rows}


@partial(jax.jit, static_argnums=0)
def _slopes(case, before, here, x, target, weight):
    circuit = case.circuit

    def step(flat):
        return synthetic._flat(synthetic._step(circuit, synthetic._like(before, flat), x))

    whole = jax.jacrev(step)(synthetic._flat(before))  # (batch, n, batch, n)
    slopes = jnp.einsum("bpbm->bpm", whole)

    def own(flat):
        y = synthetic._read(circuit, synthetic._like(here, flat)).z
        return jnp.sum(weight * 0.5 * jnp.sum((y - target) ** 2, axis=1))

    return slopes, jax.grad(own)(synthetic._flat(here))


SIGNALS = {"decolle": LocalReadouts, "kernl": Kernels, "dni": Predictions}


def carrier(case, program):
    """What carries the traces of a rule's influence, with the random numbers it drew."""
    memory, influence = case.stream.memory, case.rule.influence
    if isinstance(influence, tg.rules.forward_gradient().influence.__class__):
        return Direction(program, memory.direction)
    if isinstance(influence, Masked):
        return Reach(program, kept_pairs(influence.pattern, case.circuit, BATCH))
    if isinstance(influence, tg.rules.rtrl().influence.__class__):
        return Reach(program)
    if case.rule.name == "uoro":
        return Product(program, lambda t: state_signs(memory, t))
    if case.rule.name == "kf_rtrl":
        return Pairs(program, lambda t: pair_signs(memory.key, t, len(program.hidden)))
    if isinstance(influence, Graph):
        length = min(influence.window or STEPS, STEPS)
        return Backward(program, [(t, t + length - 1, False) for t in range(0, STEPS, length)])
    if isinstance(influence, Horizon):
        reach = influence.steps - 1
        return Backward(program, [(max(0, t - reach), t, True) for t in range(STEPS)])
    return Synapses(program)


def now(keys, t):
    """The key of each sample at step `t`: every step splits off one."""
    for _ in range(t):
        keys = jax.vmap(lambda key: random.split(key)[0])(keys)
    return jax.vmap(lambda key: random.split(key)[1])(keys)


def state_signs(memory, t):
    single = jax.tree.map(lambda a: a[0], memory.state)
    drawn = jax.vmap(lambda key: signs_like(single, key))(now(memory.key, t))
    return [(stage.s, stage.z) for stage in drawn.state]


def pair_signs(keys, t, layers):
    return jax.vmap(lambda key: random.rademacher(key, (layers, 2), float))(now(keys, t))


def check(case):
    """Run the printed equations, and compare what they change with the library's gradient."""
    program = Program(case.told, case.circuit, case.stream.state)
    carried = carrier(case, program)
    heard = SIGNALS.get(case.rule.name, Signals)(case, program)
    changes = defaultdict(float)
    for t in range(STEPS):
        program.forward(case.data.xs[t])
        y = program.outputs()
        np.testing.assert_allclose(y, case.outcome.outputs[t], rtol=EXACT, err_msg=f"output {t}")
        program.hear(case.error(y, t))
        reward(case, program, t, y)
        carried.push()
        heard.push(t)
        for (index, kind), change, axes in carried.change():
            changes[index, kind] = changes[index, kind] + gathered(kind, axes, change)
        for part in (program, carried):
            part.tick()
    assert_changes(case, changes)
    heard.end(changes[program.last, "W"])
    if case.learned is not None:
        for index, gradient in enumerate(map(np.asarray, case.learned[1])):
            scale = np.max(np.abs(gradient))
            assert scale > 0 and np.max(np.abs(heard.taught[index] + gradient)) <= EXACT * scale


def reward(case, program, t, y):
    acts = np.asarray(case.data.weight[t] > 0, dtype=float)
    for scope in program.stages:
        scope.values["acts[t]"], scope.values["y_V[t]"] = on("n", acts), on("n", y[:, -1])
        scope.values["reward[t]"] = on("n", np.asarray(case.data.ys[t])[:, -1])


def assert_changes(case, changes):
    expected = {}
    for index, stage in enumerate(case.outcome.gradient.stages):
        for kind, (field, _) in WEIGHTS.items():
            if getattr(stage, field):
                expected[index, kind] = getattr(stage, field)["current"]
        expected |= {(index, name): g for name, g in stage.coefficients.items()}
    assert set(changes) == set(expected)
    for key, gradient in expected.items():
        assert np.any(gradient), f"{key}: a comparison with zero shows nothing"
        scale = np.max(np.abs(gradient))
        off = np.max(np.abs(changes[key] + np.asarray(gradient))) / scale
        assert off <= EXACT, f"{case.rule.name}, stage {key[0]}, {key[1]}: off by {off}"


def rebuilt(net, readout):
    return tg.Network(*net.layers, readout=readout, dt=net.dt).init(random.key(7))


def quick(make, *neurons, readout=5e-3, recurrent=True, **options):
    def made():
        net = network(*neurons, readout=readout, recurrent=recurrent)
        width = net.readout.input.inputs
        if make is rules.otpe:
            net = net.freeze("*.tau_mem")
        if make is rules.superspike:
            net = rebuilt(net, tg.Readout.of(tg.DoubleExponential(), width, OUTPUTS))
        if make is rules.reward_eprop:
            net = rebuilt(net, tg.Readout(width, 3, tau=readout, bias=True))
        return net, make(**options)

    return pytest.param(made, id=make.__name__)


# A network for every rule, of neurons that take turns; the others, and larger stacks, by --slow.
CASES = [
    quick(rules.bptt, ALIF),
    quick(rules.truncated_bptt, CUBA, window=2),
    quick(rules.future_bptt, LIF, CUBA, window=3),
    quick(rules.fptt, LIF),
    quick(rules.rtrl, CUBA),
    quick(rules.block, CUBA, groups=2),
    quick(rules.snap, LIF, LIF, order=2),
    quick(rules.ostl, ALIF),
    quick(rules.block_diagonal, ALIF),
    quick(rules.d_rtrl, CUBA),
    quick(rules.eprop, LIF, CUBA),
    quick(rules.eprop, ALIF, signal=tg.signals.Adaptive()),
    quick(rules.rflo, tg.Tanh()),
    quick(rules.ottt, LIF),
    quick(rules.es_d_rtrl, ALIF),
    quick(rules.sltt, CUBA),
    quick(rules.superspike, LIF, LIF, signal=tg.signals.Uniform()),
    quick(rules.decolle, LIF),
    quick(rules.osttp, ALIF),
    quick(rules.etlp, CUBA),
    quick(rules.otpe, LIF, LIF, recurrent=False),
    quick(rules.reward_eprop, ALIF),
    quick(rules.forward_gradient, LIF, CUBA),
    quick(rules.uoro, LIF, CUBA),
    quick(rules.kf_rtrl, LIF, CUBA),
    quick(rules.kernl, CUBA),
    quick(rules.dni, ALIF),
]
LIMITED = (rules.rflo, rules.ottt, rules.otpe)  # serve one kind of neuron, which is above
STACKED = (rules.dni, *LIMITED)  # serve no stack of these
SLOW = [
    pytest.param(*quick(make, *neurons).values, marks=pytest.mark.slow, id=make.__name__)
    for make in RULES
    for neurons in ((LIF,), (CUBA,), (ALIF,), (LIF, CUBA))
    if make not in (LIMITED if len(neurons) == 1 else STACKED)
]


def test_every_rule_is_run():
    assert {case.id for case in CASES} == {make.__name__ for make in RULES}


@pytest.mark.parametrize("make", CASES + SLOW)
def test_rule(make):
    check(Case(*make()))
