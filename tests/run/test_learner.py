"""The learner: updates when it says, the same by step and by run, compiled once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import numpy_reference as reference
import tracegrad as tg
from claims import network
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.step import Step

MSE = tg.losses.mean_squared_error


def _learner(net, rule=None, optimiser=None, **options):
    rule = rule or tg.rules.block_diagonal()
    return tg.Learner(net, rule, MSE(), optimiser or optax.sgd(0.05), **options)


def _copy(tree):
    return jax.tree.map(jnp.copy, tree)


def _leaves_close(ours, theirs, tolerance=1e-10):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("strict", [True, False])
def test_update_at_every_step_equals_numpy(strict):
    steps, m, n, o = 200, 6, 8, 2
    rng = np.random.default_rng(0)
    w, v = rng.normal(size=(n, m)) * 4, rng.normal(size=(n, n)) * 2
    w_out = rng.normal(size=(o, n))
    xs = (rng.random((steps, m)) < 0.3).astype(float)
    ys = rng.normal(size=(steps, o))
    setting = reference.Setting(
        np.exp(-1 / 5), np.exp(-1 / 10), np.exp(-1 / 8), 1.0, 10.0, 0.02, strict
    )
    losses, *expected, rate = reference.learn(setting, w, v, w_out, xs, ys)
    assert 0.05 < rate < 0.5, "the reference must spike"
    assert np.max(np.abs(expected[1] - v)) > 0.01, "the reference must learn"

    net = tg.Network(
        tg.Layer(
            tg.Dense.from_arrays(jnp.asarray(w)),
            tg.CubaLIF(tau_mem=10e-3, tau_syn=5e-3),
            recurrent=tg.Dense.from_arrays(jnp.asarray(v)),
        ),
        readout=tg.Readout(n, o, tau=8e-3),
        dt=1e-3,
    ).freeze("*.neuron.*")
    rule = tg.rules.block_diagonal() if strict else tg.rules.eprop()
    learner = _learner(net, rule, optax.sgd(0.02), update_every=1)
    state = learner.init(random.key(0), batch=1)
    readout = jnp.asarray(w_out)
    state = state._replace(
        network=_with_readout(state.network, readout), stream=learner.reset(state).stream
    )
    ours = []
    for x, y in zip(jnp.asarray(xs), jnp.asarray(ys), strict=True):
        state, info = learner.step(state, x[None], y[None])
        ours.append(float(info.loss))
    np.testing.assert_allclose(ours, losses, rtol=1e-10)
    layer = state.network.layers[0]
    found = (layer.input.weight, layer.recurrent.weight, state.network.readout.input.weight)
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-12)


def _with_readout(net, weight):
    import equinox as eqx

    return eqx.tree_at(lambda net: net.readout.input.weight, net, weight)


def _after(learner, call, length=20):
    """Weights and losses after `length` steps fed by `call`."""
    state = learner.init(random.key(0), batch=claims.BATCH)
    xs, ys = claims.inputs()[:length], claims.targets()[:length]
    before = _copy(state.network)
    state, losses = call(learner, state, xs, ys)
    changed = [
        bool(jnp.any(a != b))
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(state.network), strict=True)
    ]
    assert all(changed), "every parameter must have moved"
    return state, losses


def _by_step(learner, state, xs, ys):
    total = 0.0
    for x, y in zip(xs, ys, strict=True):
        state, info = learner.step(state, x, y)
        total += float(info.loss)
    return state, total


def _by_run(learner, state, xs, ys):
    state, info = learner.run(state, xs, ys)
    return state, float(info.loss)


def _in_two_runs(learner, state, xs, ys):
    state, first = learner.run(state, xs[:10], ys[:10])
    state, second = learner.run(state, xs[10:], ys[10:])
    return state, float(first.loss) + float(second.loss)


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("rule", [tg.rules.rtrl(), tg.rules.block_diagonal()], ids=lambda r: r.name)
def test_step_and_run_are_the_same(rule, every):
    net = network(tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0))
    learner = _learner(net, rule, update_every=every)
    state, loss = _after(learner, _by_step)
    for call in (_by_run, _in_two_runs):
        again, same = _after(learner, call)
        assert same == pytest.approx(loss, rel=1e-10)
        _leaves_close(again.network, state.network)
        _leaves_close(again.stream.state, state.stream.state)


def test_chunk_carries_the_trace_over_block_boundaries():
    """Blocks that forget the trace would give another gradient: shown by resetting it."""
    net = network(tg.LIF(tau_mem=10e-3), tg.ALIF(tau_mem=10e-3, tau_adapt=20e-3))
    rule = tg.rules.block_diagonal()
    whole = claims.gradient(net, rule, plan=Step)
    from tracegrad.learn.plans.plan import Data, Stream

    def halves(carry):
        plan = Chunk(rule, MSE(), True)
        data = Data(claims.inputs(), claims.targets(), claims.weights(), None)
        cut = [jax.tree.map(lambda a, s=s: a[s], data) for s in (slice(0, 10), slice(10, None))]
        first = claims.block(net, rule, data=cut[0], plan=plan)
        circuit = net.discretise()
        memory = first.stream.memory if carry else plan.init(circuit, claims.BATCH, random.key(0))
        stream = Stream(first.stream.state, memory, ())
        second = claims.block(net, rule, data=cut[1], plan=plan, stream=stream)
        return jax.tree.map(jnp.add, first.gradient, second.gradient)

    claims.assert_equal(halves(carry=True), whole)
    claims.assert_differ(halves(carry=False), whole, "layers.1.input.weight")


@pytest.mark.parametrize("plan", [Step, Chunk])
def test_padding_changes_nothing(plan):
    """Ragged sequences in a batch, padded before and after: as each sequence alone."""
    from tracegrad.learn.plans.plan import Data

    net = network(tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0), tg.LIF())
    rule, loss = tg.rules.block_diagonal(), MSE(tg.RateRegulariser(2.0, 0.1))
    xs, ys, weight = claims.inputs(), claims.targets(), claims.weights()
    valid = jnp.zeros((claims.STEPS, 2), bool).at[0:11, 0].set(True).at[4:25, 1].set(True)
    garbage = jnp.where(valid[..., None], xs, 7.0)
    padded = claims.gradient(
        net, rule, loss=loss, plan=plan, data=Data(garbage, ys, jnp.where(valid, weight, 0), valid)
    )
    alone = []
    for sample, steps in ((0, slice(0, 11)), (1, slice(4, 25))):
        own = (slice(sample, sample + 1),)
        data = Data(*(a[(steps, *own)] for a in (xs, ys, weight)), None)
        alone.append(claims.block(net, rule, loss=loss, plan=plan, data=data).gradient)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *alone)
    claims.assert_equal(padded, mean)


def test_sequence_is_a_run_from_rest():
    net = network(tg.LIF(tau_mem=10e-3))
    xs, ys = claims.inputs(), claims.targets()
    learner = _learner(net)
    state = learner.init(random.key(0), claims.BATCH)
    fresh, _ = learner.run(_copy(state), xs, ys)
    state, _ = learner.sequence(state, xs, ys)
    _leaves_close(state.network, fresh.network)
    assert all(bool(jnp.all(z == 0)) for z in jax.tree.leaves(state.stream))


def test_adaptive_feedback_approaches_the_readout_weights():
    net = network(tg.LIF(tau_mem=10e-3))
    rule = tg.rules.eprop(signal=tg.signals.Adaptive(weight_decay=0.05))
    learner = _learner(net, rule, optax.sgd(0.5))
    state = learner.init(random.key(0), claims.BATCH)

    def distance(state):
        return float(jnp.linalg.norm(state.feedback[0] - state.network.readout.input.weight.T))

    start = distance(state)
    for _ in range(40):
        state, _ = learner.sequence(state, claims.inputs(), claims.targets())
    # Both get the same updates, so that their difference shrinks by (1 - 0.5 * 0.05) each time.
    assert distance(state) == pytest.approx(start * (1 - 0.5 * 0.05) ** 40, rel=1e-9)


def test_frozen_parameters_stay_and_others_learn():
    net = network(tg.LIF(tau_mem=10e-3)).freeze("*.neuron.*", "readout.*")
    learner = _learner(net)
    state = learner.init(random.key(0), claims.BATCH)
    before = _copy(state.network)
    state, _ = learner.sequence(state, claims.inputs(), claims.targets())
    after = state.network
    assert float(after.layers[0].neuron.tau_mem.log) == float(before.layers[0].neuron.tau_mem.log)
    assert jnp.array_equal(after.readout.input.weight, before.readout.input.weight)
    assert not jnp.array_equal(after.layers[0].input.weight, before.layers[0].input.weight)


def test_second_call_does_not_compile_again():
    learner = _learner(network(tg.LIF(tau_mem=10e-3)), update_every=5)
    state = learner.init(random.key(0), claims.BATCH)
    xs, ys = claims.inputs()[:10], claims.targets()[:10]
    for _ in range(3):
        state, _ = learner.run(state, xs, ys)
    assert learner.run._cache_size() == 1


class _Deaf(tg.AbstractNeuron):
    """A neuron with a parameter that its step never uses."""

    tau_mem: tg.Positive = tg.positive(20e-3)
    tau_lost: tg.Positive = tg.positive(20e-3)
    reset: tg.AbstractReset = tg.NoReset()

    def coefficients(self, dt):
        return {"alpha": tg.decay(dt, self.tau_mem), "rho": tg.decay(dt, self.tau_lost)}

    def init(self, c):
        return {"v": 0.0 * c["alpha"]}

    def step(self, c, s, z, current):
        return {"v": c["alpha"] * s["v"] + current}

    def output(self, c, s):
        return s["v"]


# One rule of every kind of influence.
KINDS = (
    tg.rules.bptt,
    tg.rules.future_bptt,
    tg.rules.rtrl,
    tg.rules.block_diagonal,
    tg.rules.eprop,
    tg.rules.sltt,
)


@pytest.mark.parametrize("rule", [r() for r in KINDS], ids=lambda r: r.name)
def test_a_parameter_without_a_path_is_refused_unless_frozen(rule):
    net = network(_Deaf())
    with pytest.raises(ValueError, match=r"no gradient path to layers\.0\.neuron\.tau_lost\. "):
        _learner(net, rule)
    _learner(net.freeze("*.tau_lost"), rule)


def test_refusals():
    net = network(tg.LIF())
    with pytest.raises(ValueError, match="bptt is offline and updates once per sequence"):
        _learner(net, tg.rules.bptt(), update_every=3)
    with pytest.raises(ValueError, match="update_every must be at least 1"):
        _learner(net, update_every=0)
    with pytest.raises(ValueError, match="'nothing' matches no parameter"):
        net.freeze("nothing")
    several = tg.Network(
        *net.layers, readout=tg.Readout(5, 2, tau=jnp.array([1e-3, 2e-3])), dt=1e-3
    )
    with pytest.raises(ValueError, match="kappa filter needs one readout time constant"):
        _learner(several)
    deep = network(tg.LIF(), tg.LIF())
    with pytest.raises(ValueError, match="reads only the last"):
        _learner(deep, tg.rules.eprop(signal=tg.signals.Adaptive()))
    learner = _learner(net)
    state = learner.init(random.key(0), claims.BATCH)
    with pytest.raises(ValueError, match="step needs update_every"):
        learner.step(state, claims.inputs()[0], claims.targets()[0])
    learner = _learner(net, update_every=4)
    state = learner.init(random.key(0), claims.BATCH)
    with pytest.raises(ValueError, match="multiple of update_every = 4 steps, got 25"):
        learner.run(state, claims.inputs(), claims.targets())
    rated = tg.losses.mean_squared_error(tg.RateRegulariser(1.0, 0.1))
    learner = tg.Learner(net, tg.rules.eprop(), rated, optax.sgd(0.1), update_every=4)
    state = learner.init(random.key(0), claims.BATCH)
    with pytest.raises(ValueError, match="no mean rate over update_every=4 steps"):
        learner.step(state, claims.inputs()[0], claims.targets()[0])


def test_izhikevich_with_its_defaults_learns():
    """Eight random patterns, two classes: the loss falls by a third, and not by the readout alone.

    An error of the readout must pass the surrogate of a neuron whose peak is far above its rest.
    """
    xs = random.bernoulli(random.key(1), 0.2, (30, 8, 10)).astype(float)
    ys = jnp.broadcast_to((jnp.arange(8) % 2)[None], (30, 8))
    layer = tg.Layer(tg.Dense(10, 12, gain=6.0), tg.Izhikevich())
    net = tg.Network(layer, readout=tg.Readout(12, 2), dt=1e-3).freeze("*.neuron.*")

    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        learner = tg.Learner(
            net, tg.rules.block_diagonal(), tg.losses.cross_entropy(), optax.adam(0.2)
        )
        state, found = learner.init(random.key(0), 8), []
        before = _copy(state.network)
        for _ in range(60):
            state, info = learner.sequence(state, xs, ys)
            found.append(float(info.loss))
    assert 0.02 < float(jnp.mean(info.rates[0])) < 0.2
    assert found[-1] < found[0] * 2 / 3

    def error(layers):
        both = tg.Network(*layers, readout=state.network.readout, dt=1e-3)
        picked = jax.nn.log_softmax(both(xs)[0][-1])[:, jnp.arange(8), ys[0]]
        return -float(jnp.sum(jnp.mean(picked, axis=1)))

    assert error(state.network.layers) < 0.8 * error(before.layers)


def test_a_gradient_that_is_asked_for_leaves_what_waits():
    """One step of three is taken; a gradient in between does not touch what waits."""
    net = network(tg.LIF(tau_mem=10e-3))
    loss = tg.losses.mean_squared_error()
    learner = tg.Learner(net, tg.rules.eprop(), loss, optax.sgd(0.1), update_every=3)
    state = learner.init(random.key(0), claims.BATCH)
    state, info = learner.step(state, claims.inputs()[0], claims.targets()[0])
    waiting = jax.tree.map(jnp.copy, (state.gradient, state.waiting))
    gradient, state, _ = learner.gradient(state, claims.inputs(), claims.targets())
    assert any(jnp.any(leaf) for leaf in jax.tree.leaves(gradient))
    for a, b in zip(
        jax.tree.leaves(waiting), jax.tree.leaves((state.gradient, state.waiting)), strict=True
    ):
        assert jnp.array_equal(a, b)


def test_a_plan_that_holds_once_what_neurons_do_not_share_is_refused():
    net, rule, loss = network(tg.CubaLIF()), tg.rules.block_diagonal(), tg.losses.cross_entropy()
    wrong = Step(rule, loss, (frozenset({"v"}), frozenset({"v"})))
    with pytest.raises(ValueError, match=r"in common, \[\[\], \['v'\]\], got \[\['v'\], \['v'\]\]"):
        tg.Learner(net, rule, loss, optax.sgd(0.1), update_every=1, plan=wrong)
    right = Step(rule, loss, (frozenset(), frozenset({"v"})))
    assert (
        tg.Learner(net, rule, loss, optax.sgd(0.1), update_every=1, plan=right).plan.plan is right
    )
