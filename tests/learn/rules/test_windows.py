"""Rules that keep a window of the graph: truncated and future-facing backpropagation, FPTT."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import oracle
import tracegrad as tg
from claims import assert_differ, assert_equal, gradient, network
from tracegrad.learn.optimiser import Dynamic
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.look_back import LookBack
from tracegrad.learn.plans.plan import Data

rules = tg.rules
NET = network(tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0))
WINDOW = 4
MSE = tg.losses.mean_squared_error


def _loss(net, state, xs, ys, weight):
    """Half squared error of some steps that begin at a state which is a constant."""
    outputs, _ = net(xs, state)
    return jnp.sum(weight[..., None] * (outputs[-1] - ys) ** 2) / (2 * claims.BATCH)


@jax.jit
def _windows(net, starts, counted):
    """Gradient of windows of steps, each from a constant state; `counted` (windows, steps)."""
    xs, ys, weight = claims.inputs(), claims.targets(), claims.weights()
    states = oracle._values(net, xs)[1]

    def objective(net):
        def of(start, counted):
            def part(a):  # steps past the end count for nothing
                longer = jnp.concatenate([a, jnp.zeros((WINDOW, *a.shape[1:]))])
                return jax.lax.dynamic_slice_in_dim(longer, start, WINDOW)

            state = jax.tree.map(lambda a: a[start], jax.lax.stop_gradient(states))
            return _loss(net, state, part(xs), part(ys), part(weight) * counted[:, None])

        return jnp.sum(jax.vmap(of)(starts, counted))

    return jax.grad(objective)(net)


def test_truncated_bptt_is_ad_with_constant_states_at_the_borders():
    starts = jnp.arange(0, claims.STEPS, WINDOW)
    ours = gradient(NET, rules.truncated_bptt(WINDOW))
    assert_equal(ours, _windows(NET, starts, jnp.ones((len(starts), WINDOW))))
    assert_differ(ours, gradient(NET, rules.bptt()), "layers.0.input.weight")


def test_future_bptt_is_the_sum_of_every_loss_through_its_last_steps():
    last = jnp.arange(claims.STEPS)
    starts = jnp.maximum(last - WINDOW + 1, 0)
    counted = (starts[:, None] + jnp.arange(WINDOW)[None] == last[:, None]).astype(float)
    ours = gradient(NET, rules.future_bptt(WINDOW))
    assert_equal(ours, _windows(NET, starts, counted))
    assert_differ(ours, gradient(NET, rules.truncated_bptt(WINDOW)), "layers.0.input.weight")


def test_future_bptt_with_a_long_window_is_bptt():
    loss = MSE(tg.RateRegulariser(strength=2.0, target=0.1))
    ours = gradient(NET, rules.future_bptt(claims.STEPS + 3), loss=loss)
    assert_equal(ours, gradient(NET, rules.bptt(), loss=loss))


def test_future_bptt_reaches_over_the_border_of_a_block():
    """Blocks of one step have together the gradient of one long block."""
    plan = LookBack(rules.future_bptt(WINDOW), MSE())
    data = Data(claims.inputs(), claims.targets(), claims.weights(), None)
    blocks = jax.tree.map(lambda a: a[:, None], data)

    @jax.jit
    def compute(net):
        circuit = net.discretise()

        def block(stream, data):
            outcome = plan.block(circuit, (), stream, data)
            return outcome.stream, outcome.gradient

        start = plan.rest(circuit, claims.BATCH, random.key(0))
        gradients = jax.lax.scan(block, start, blocks)[1]
        return pull_back(net, jax.tree.map(lambda g: jnp.sum(g, axis=0), gradients))

    assert_equal(compute(NET), gradient(NET, rules.future_bptt(WINDOW)))


def test_schedules_and_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="after whole windows of 4 steps, got update_every=6"):
        rules.truncated_bptt(4).check_schedule(6, tg.losses.mean_squared_error())
    rules.truncated_bptt(4).check_schedule(8, tg.losses.mean_squared_error())
    rules.truncated_bptt(4).check_schedule(None, tg.losses.mean_squared_error())
    rules.future_bptt(4).check_schedule(1, tg.losses.mean_squared_error())
    for make in (rules.truncated_bptt, rules.future_bptt):
        with pytest.raises(ValueError, match="window must be at least 1 step, got 0"):
            make(0)
    with pytest.raises(ValueError, match="alpha must be positive, got 0"):
        rules.fptt(0.0)


def test_fptt_follows_its_equations():
    """Against NumPy, on a quadratic loss whose target moves at every step."""
    alpha, rate, rng = 0.3, 0.05, np.random.default_rng(0)
    targets, w = rng.normal(size=(20, 3)), rng.normal(size=3)
    optimiser = Dynamic(alpha)(optax.sgd(rate))
    ours = jnp.asarray(w)
    state = optimiser.init(ours)
    mean, last = w.copy(), np.zeros(3)
    for target in targets:
        changes, state = optimiser.update(ours - target, state, ours)
        ours = optax.apply_updates(ours, changes)
        slope = w - target
        pull = alpha * (w - mean - last / (2 * alpha))  # of (alpha / 2) |w - mean - last/2alpha|^2
        w = w - rate * (slope + pull)
        mean, last = 0.5 * (mean + w) - slope / (2 * alpha), slope
        np.testing.assert_allclose(ours, w, rtol=1e-12)


def test_fptt_learns_with_the_gradient_of_single_steps():
    """Two steps of a learner by hand: one-step gradients, and the wrapped optimiser."""
    alpha, rate = 0.3, 0.05
    learner = tg.Learner(NET, rules.fptt(alpha), MSE(), optax.sgd(rate), update_every=1)
    state = learner.init(random.key(0), claims.BATCH)
    weights, gradients = [state.network.layers[0].input.weight], []
    for t in range(10, 12):
        x, y = claims.inputs()[t][None], claims.targets()[t][None]
        before = state.stream.state
        slope = jax.jit(jax.grad(_loss))(state.network, before, x, y, jnp.ones((1, claims.BATCH)))
        gradients.append(slope.layers[0].input.weight)
        state, _ = learner.run(jax.tree.map(jnp.copy, state), x, y)
        weights.append(state.network.layers[0].input.weight)
    w0, w1, w2 = weights
    g0, g1 = gradients
    np.testing.assert_allclose(w1, w0 - rate * g0, rtol=1e-12)
    mean = 0.5 * (w0 + w1) - g0 / (2 * alpha)
    wanted = w1 - rate * (g1 + alpha * (w1 - mean) - 0.5 * g0)
    assert float(jnp.max(jnp.abs(g0))) > 0, "a comparison with zero shows nothing"
    np.testing.assert_allclose(w2, wanted, rtol=1e-10)
