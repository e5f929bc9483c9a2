"""events: the same gradient as the plain plans, to the last bits, whatever the input and shape."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from jax import random

import claims
import oracle
import tracegrad as tg
from claims import assert_differ, assert_equal, block, difference, gradient, network
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.event_kernels import Forward
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step
from tracegrad.native import compiler
from tracegrad.native.scalar import NoCodeError

rules = tg.rules
PENALTY = tg.RateRegulariser(strength=2.0, target=0.1)
LOSS = tg.losses.mean_squared_error(PENALTY)


def deep():
    return network(tg.LIF(tau_mem=10e-3), tg.ALIF(tau_mem=10e-3, refractory_steps=3))


def ragged(steps=claims.STEPS, batch=5):
    """Sequences of different lengths, with a hole in one; inputs are small counts."""
    lengths = random.randint(random.key(8), (batch,), steps // 2, steps + 1)
    valid = (jnp.arange(steps)[:, None] < lengths[None]).at[3, 1].set(False)
    counts = random.randint(random.key(9), (steps, batch, claims.INPUTS), 0, 3)
    xs = claims.inputs(steps, batch) * counts.astype(float)
    weight = jnp.where(valid, claims.weights(steps, batch), 0.0)
    return Data(xs, claims.targets(steps, batch), weight, valid)


@pytest.mark.parametrize("all_layers", [False, True])
def test_eprop_with_events_is_ad_with_cut_edges(all_layers):
    net = network(tg.CubaLIF(tau_mem=10e-3, normalised=False), tg.Tanh(), all_layers=all_layers)
    ours = gradient(net, rules.eprop(), loss=LOSS, plan=Events)
    given = (claims.inputs(), claims.targets(), claims.weights())
    assert_equal(ours, oracle.gradient(net, oracle.IMPLICIT, LOSS, *given))
    assert_differ(ours, gradient(net, rules.bptt(), loss=LOSS), "layers.0.input.weight")


@pytest.mark.parametrize("readout", [tg.Integrator(), tg.DoubleExponential()])
def test_ragged_sequences_and_chains_of_taps(readout):
    net = network(tg.LIF(tau_mem=10e-3), tg.CubaLIF(tau_mem=10e-3, normalised=False))
    last = tg.Readout.of(readout, net.layers[-1].input.outputs, claims.OUTPUTS)
    net = tg.Network(*net.layers, readout=last, dt=net.dt).init(random.key(3))
    step, events = (
        block(net, rules.block_diagonal(), loss=LOSS, data=ragged(), plan=plan)
        for plan in (Step, Events)
    )
    claims.assert_alive(net, step.rates)
    assert_equal(events.gradient, step.gradient)
    for ours, theirs in zip(
        jax.tree.leaves((events.outputs, events.rates, events.loss, events.stream.state)),
        jax.tree.leaves((step.outputs, step.rates, step.loss, step.stream.state)),
        strict=True,
    ):
        assert jnp.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("batch", "size", "steps"), [(1, 3, 40), (9, 150, 12), (33, 17, 7)])
def test_any_shape_in_float32(batch, size, steps):
    """Columns of 64 and 16 neurons with a rest, one sample and more than threads, odd lines."""
    layer = tg.Layer(tg.Dense(37, size, gain=2.0), tg.LIF(), recurrent=tg.Dense(size, size))
    net = tg.Network(layer, readout=tg.Readout(size, 2), dt=1e-3).init(random.key(0))
    xs = random.bernoulli(random.key(1), 0.3, (steps, batch, 37)).astype(jnp.float32)
    ys = random.normal(random.key(2), (steps, batch, 2), jnp.float32)
    data = Data(xs, ys, jnp.ones((steps, batch), jnp.float32), None)
    single, double = (
        jax.tree.map(lambda a, t=kind: a.astype(jnp.float32).astype(t), (net, data))
        for kind in (jnp.float32, jnp.float64)
    )
    ours = gradient(single[0], rules.eprop(), data=single[1], plan=Events)
    exact = gradient(double[0], rules.eprop(), data=double[1], plan=one_block)
    off = difference(jax.tree.map(lambda a: a.astype(jnp.float64), ours), exact)
    weights = {name: d for name, d in off.items() if ".neuron." not in name}
    assert max(weights.values()) <= 1e-5, weights  # one number of a layer is a sum that cancels


def one_block(rule, loss):
    return Chunk(rule, loss, carry=False)


def test_frozen_coefficients_cost_nothing_and_change_nothing():
    net = deep()
    every = gradient(net, rules.block_diagonal(), plan=Events)
    some = gradient(
        net, rules.block_diagonal(), plan=lambda r, c: Events(r, c, (False, True, True))
    )
    frozen = jax.tree.map(jnp.zeros_like, every.layers[0].neuron)
    expected = eqx.tree_at(lambda net: net.layers[0].neuron, every, frozen)
    assert jnp.any(every.layers[0].neuron.tau_mem.log)
    for ours, theirs in zip(jax.tree.leaves(some), jax.tree.leaves(expected), strict=True):
        assert jnp.allclose(ours, theirs, rtol=1e-12, atol=0.0)


class Sorting(tg.LIF):
    """A neuron whose equations have no form in C."""

    def output(self, c, s):
        """Through an array."""
        return self.surrogate(jnp.sort(jnp.stack([s["v"], s["v"] - 1.0]))[0])


def test_a_neuron_without_a_form_in_c_is_refused_by_name():
    with pytest.raises(NoCodeError, match="not a scalar"):
        block(network(Sorting(tau_mem=10e-3)), rules.eprop(), plan=Events)


def test_no_compiler_is_said(monkeypatch):
    monkeypatch.setattr(compiler, "compiler", lambda: None)
    with pytest.raises(compiler.NoCompilerError, match="CC"):
        compiler.target("int nothing;", "forward")


def test_code_that_no_compiler_takes_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "_cache", lambda: tmp_path)
    with pytest.raises(compiler.NoCompilerError, match="refused"):
        compiler.target("this is no C", "forward")
    assert not list(tmp_path.iterdir())


def sequence(net, rule, density):
    """A learner planned for some input, and the gradient of a sequence."""
    xs = jnp.zeros(100).at[: round(100 * density)].set(1.0)
    learner = tg.Learner(net, rule, tg.losses.mean_squared_error(), optax.sgd(1.0))
    learner = learner.for_input(xs)
    before = learner.init(random.key(0), claims.BATCH)
    start = jax.tree.map(jnp.copy, before.network)
    after, _ = learner.sequence(before, claims.inputs(), claims.targets())
    return learner.plan, jax.tree.map(jnp.subtract, start, after.network)


def test_the_density_of_the_input_chooses_the_plan_and_changes_nothing():
    net, rule = deep(), rules.eprop()
    sparse, ours = sequence(net, rule, density=0.05)
    dense, theirs = sequence(net, rule, density=0.5)
    assert isinstance(sparse.plan, Events)
    assert "5.0 %" in str(sparse)
    assert isinstance(dense.plan, Chunk)
    assert "50.0 %" in str(dense)
    assert_equal(ours, theirs)


def test_what_cannot_be_events_is_planned_with_products_and_says_why(monkeypatch):
    choice, _ = sequence(network(Sorting(tau_mem=10e-3)), rules.eprop(), density=0.05)
    assert isinstance(choice.plan, Chunk)
    assert "not a scalar" in choice.why
    monkeypatch.setattr(compiler, "compiler", lambda: None)
    compiler.target.cache_clear()
    choice, _ = sequence(deep(), rules.eprop(), density=0.05)
    assert isinstance(choice.plan, Chunk)
    assert "no C compiler" in choice.why


@pytest.mark.parametrize("kind", [jnp.uint8, jnp.float32, jnp.bool_])
def test_input_of_another_type_means_the_same(kind):
    """C reads raw memory: what comes in another type has to be made its own."""
    stage = deep().discretise().stages[0]
    kernel = Forward(stage, frozenset(), frozenset())
    before, xs = stage.rest(claims.BATCH), claims.inputs()
    mixed = eqx.tree_at(lambda s: s.coefficients["alpha"], stage, replace_fn=single)
    same = eqx.tree_at(
        lambda s: s.coefficients["alpha"], stage, replace_fn=lambda a: single(a).astype(float)
    )
    ours = kernel(mixed, before, xs.astype(kind), None)[1]
    assert jnp.mean(ours) > 0.01
    assert jnp.array_equal(ours, kernel(same, before, xs, None)[1])


def taught(plan):
    layer = tg.Layer(tg.Dense(37, 20, gain=2.0), tg.LIF(), recurrent=tg.Dense(20, 20))
    net = tg.Network(layer, readout=tg.Readout(20, 2), dt=1e-3)
    loss, rule = tg.losses.mean_squared_error(), rules.eprop()
    return tg.Learner(net, rule, loss, optax.sgd(1.0), plan=plan(rule, loss))


def one_sequence(learner, xs):
    ys = random.normal(random.key(2), (*xs.shape[:2], 2))
    return learner.init(random.key(0), xs.shape[1], stream=False), xs, ys


def in_parts(rule, loss):
    return Checkpoint(rule, loss, Events(rule, loss))


@pytest.mark.parametrize("plan", [Events, in_parts, one_block, Step])
@pytest.mark.parametrize("kind", [jnp.uint8, jnp.bool_, jnp.int32])
def test_counts_are_learned_from_as_the_same_real_numbers(plan, kind):
    counts = 90 * random.poisson(random.key(1), 0.2, (11, 5, 37))  # up to 255 in a byte
    xs = (counts / 90 if kind == jnp.int32 else jnp.minimum(counts, 255)).astype(kind)
    learner = taught(plan)
    ours, info = learner.sequence(*one_sequence(learner, xs))
    theirs, _ = learner.sequence(*one_sequence(learner, xs.astype(float)))
    assert 0.01 < jnp.mean(info.rates[0]) < 0.7
    networks = (ours.network, theirs.network)
    for one, other in zip(*map(jax.tree.leaves, networks), strict=True):
        assert jnp.array_equal(one, other)


def test_bytes_never_become_real_numbers_on_their_way_to_the_events():
    xs = jnp.zeros((11, 5, 37), jnp.uint8)
    for plan, converted in ((Events, False), (Step, True)):
        learner = taught(plan)
        program = str(jax.make_jaxpr(learner.sequence)(*one_sequence(learner, xs)))
        assert ("f64[11,5,37]" in program) == converted


def single(a):
    return a.astype(jnp.float32)


def test_weights_that_c_has_no_type_for_are_refused_by_name():
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), deep().discretise().stages[0])
    with pytest.raises(NoCodeError, match="bfloat16"):
        Forward(half, frozenset(), frozenset())


def test_a_plan_that_carries_nothing_serves_no_stream():
    net, rule, loss = deep(), rules.eprop(), tg.losses.mean_squared_error()
    for plan in (Events(rule, loss), one_block(rule, loss)):
        with pytest.raises(ValueError, match="carries nothing"):
            tg.Learner(net, rule, loss, optax.sgd(1.0), update_every=5, plan=plan)
        learner = tg.Learner(net, rule, loss, optax.sgd(1.0), plan=plan)
        with pytest.raises(ValueError, match="no stream"):
            learner.run(
                learner.init(random.key(0), claims.BATCH), claims.inputs(), claims.targets()
            )
    with pytest.raises(ValueError, match="rule and the loss"):
        tg.Learner(net, rules.block_diagonal(), loss, optax.sgd(1.0), plan=Events(rule, loss))
    with pytest.raises(ValueError, match="some input"):
        learner.for_input(jnp.zeros((0, 3)))
