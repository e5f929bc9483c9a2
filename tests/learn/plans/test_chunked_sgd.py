"""chunked_sgd: weights that change at every step, executed a chunk at a time, are those of Step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from claims import network
from tracegrad.learn.alike import alike
from tracegrad.learn.optimiser import is_plain_sgd
from tracegrad.learn.plans.chunked_sgd import ChunkedSGD
from tracegrad.learn.plans.step import Step

rules = tg.rules
RATE, STEPS = 0.05, 23
CASES = {
    "traces in common": (network(tg.CubaLIF(), gain=6.0), rules.eprop()),
    "self-weight learns": (network(tg.CubaLIF(), gain=6.0), rules.block_diagonal()),
    "masked autapses": (network(tg.ALIF(), autapses=False), rules.block_diagonal()),
    "deep, read from all": (
        network(tg.CubaLIF(), tg.CubaLIF(), all_layers=True, gain=6.0),
        rules.eprop(),
    ),
    "deep": (network(tg.LIF(), tg.ALIF(), gain=6.0), rules.block_diagonal()),
    "feed-forward": (network(tg.LIF(tau_mem=10e-3), recurrent=False), rules.eprop()),
    "adapting feedback": (
        network(tg.LIF(tau_mem=10e-3)),
        rules.eprop(tg.signals.Adaptive()),
    ),
    "four ports": (network(tg.LSTM()), rules.block_diagonal()),
}


def learn(case, plan, batch=1, optimiser=None, valid=None):
    """Weights, stream and losses after three runs, the second of which is no whole chunk."""
    net, rule = CASES[case]
    loss = tg.losses.mean_squared_error()
    learner = tg.Learner(
        net, rule, loss, optimiser or optax.sgd(RATE), update_every=1, plan=plan(rule, loss)
    )
    state = learner.init(random.key(0), batch)
    xs, ys = claims.inputs(STEPS, batch), claims.targets(STEPS, batch)
    weight = jnp.abs(ys[..., 0])
    infos = []
    for cut in (slice(0, 16), slice(16, 19), slice(0, STEPS)):
        there = None if valid is None else valid[cut]
        given = (state, xs[cut], ys[cut], weight[cut], there)
        state, info = claims.evaluated(learner.run, *given)
        infos.append(info)
    return state, infos


def chunked(net, steps):
    return lambda rule, loss: ChunkedSGD(rule, loss, alike(net, rule.influence), steps=steps)


def assert_same(ours, theirs, net):
    """Everything a learner carries, and what it said; and that there was something to learn."""
    for info in theirs[1]:
        claims.assert_alive(net, info.rates)
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    for one, other in pairs:
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            continue
        scale = max(1e-3, float(np.max(np.abs(other)))) if one.size else 1.0
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("case", CASES)
def test_chunks_change_nothing(case):
    net, rule = CASES[case]
    common = alike(net, rule.influence)
    theirs = learn(case, lambda rule, loss: Step(rule, loss, common))
    ours = learn(case, chunked(net, 7))
    start = jax.tree.leaves(net.init(random.key(0)))
    moved = [
        bool(jnp.any(a != b))
        for a, b in zip(start, jax.tree.leaves(theirs[0].network), strict=True)
    ]
    assert all(moved), "every parameter learns"
    assert_same(ours, theirs, net)


def test_samples_and_padding():
    """Two samples learn one weight; where a sample has ended it asks for no change."""
    case = "self-weight learns"
    net = CASES[case][0]
    valid = (jnp.arange(STEPS)[:, None] < jnp.array([STEPS, 14])[None]).at[3, 1].set(False)
    common = alike(net, CASES[case][1].influence)
    theirs = learn(case, lambda rule, loss: Step(rule, loss, common), batch=2, valid=valid)
    ours = learn(case, chunked(net, 10), batch=2, valid=valid)
    assert_same(ours, theirs, net)


def test_a_rate_that_changes_with_time():
    case = "traces in common"
    net, rule = CASES[case]
    # Powers of two: the rate is made in float32, where others are rounded as each program likes.
    falling = optax.sgd(optax.linear_schedule(0.125, 0.0, 64))
    common = alike(net, rule.influence)
    theirs = learn(case, lambda rule, loss: Step(rule, loss, common), optimiser=falling)
    assert_same(learn(case, chunked(net, 8), optimiser=falling), theirs, net)


def test_a_chunk_sees_its_own_changes():
    """Not the gradient of frozen weights: with one update a chunk the weights end elsewhere."""
    net, rule = CASES["traces in common"]
    loss = tg.losses.mean_squared_error()
    ends = []
    for every in (1, 8):
        learner = tg.Learner(net, rule, loss, optax.sgd(RATE), update_every=every)
        state = learner.init(random.key(0), 1)
        state, _ = learner.run(state, claims.inputs(16, 1), claims.targets(16, 1))
        ends.append(state.network.layers[0].input.weight)
    assert float(jnp.max(jnp.abs(ends[0] - ends[1]))) > 1e-3


def test_the_planner_takes_it_for_plain_sgd():
    net, rule = CASES["traces in common"]
    loss = tg.losses.mean_squared_error()

    def plan(optimiser, loss=loss, net=net, every=1):
        return str(tg.Learner(net, rule, loss, optimiser, update_every=every).plan)

    said = "ChunkedSGD: plain SGD changes the weights at every step, 32 steps at a time"
    assert plan(optax.sgd(0.1)) == said
    assert plan(optax.adam(0.1)).startswith("Step")
    assert plan(optax.sgd(0.1), every=2).startswith("Chunk:")
    regularised = tg.losses.mean_squared_error(tg.RateRegulariser(0.3, 0.05))
    assert plan(optax.sgd(0.1), loss=regularised).startswith("Step")
    assert plan(optax.sgd(0.1), net=net.freeze("layers.0.recurrent.*")).startswith("Step")


OTHERS = {
    "momentum": optax.sgd(0.1, momentum=0.9),
    "adam": optax.adam(0.1),
    "decay": optax.chain(optax.add_decayed_weights(1e-3), optax.sgd(0.1)),
    "clip": optax.chain(optax.clip(1.0), optax.sgd(0.1)),
    "clip by norm": optax.chain(optax.clip_by_global_norm(1e3), optax.sgd(0.1)),
    "sign": optax.chain(optax.scale_by_sign(), optax.sgd(0.1)),
    "two rates": optax.multi_transform(
        {"a": optax.sgd(0.1), "b": optax.sgd(0.2)}, {"w": "a", "v": "b", "c": "a"}
    ),
}
PLAIN = {
    "sgd": optax.sgd(0.1),
    "schedule": optax.sgd(optax.exponential_decay(0.1, 10, 0.9)),
    "another rate elsewhere": optax.multi_transform(
        {"a": optax.sgd(0.1), "b": optax.sgd(0.2)}, {"w": "a", "v": "a", "c": "b"}
    ),
}


@pytest.mark.parametrize("name", [*OTHERS, *PLAIN])
def test_plain_sgd_is_told_from_the_rest(name):
    params = {"w": jnp.ones((3, 2)), "v": jnp.ones((2, 2)), "c": jnp.ones(3)}
    found = is_plain_sgd((OTHERS | PLAIN)[name], params, {"w": True, "v": True, "c": False})
    assert found == (name in PLAIN)


def test_currents_without_coefficients_to_share_go_by_steps():
    """A gated cell whose recurrent ports are not those of its input."""
    rule, loss = rules.block_diagonal(), tg.losses.mean_squared_error()
    learner = tg.Learner(network(tg.GRU()), rule, loss, optax.sgd(0.1), update_every=1)
    assert str(learner.plan).startswith("Step")


def test_what_chunks_cannot_hold_back_is_refused():
    net, rule = CASES["traces in common"]
    loss = tg.losses.mean_squared_error()
    with pytest.raises(ValueError, match="ChunkedSGD needs update_every=1, plain SGD"):
        tg.Learner(net, rule, loss, optax.adam(0.1), update_every=1, plan=ChunkedSGD(rule, loss))
    with pytest.raises(ValueError, match="at least 4 steps, got steps=3"):
        ChunkedSGD(rule, loss, steps=3)
