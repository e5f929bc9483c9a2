"""Losses beyond a sum over steps: finite differences decide, and what serves which rule."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from tracegrad.learn.filter import NoFilter
from tracegrad.learn.loss import loss_and_error
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

losses, rules = tg.losses, tg.rules
STEPS, BATCH = claims.STEPS, claims.BATCH
RISE, DECAY = 4e-3, 7e-3
LABELS = np.array([1, 0])


def _net(neuron, read=None, recurrent=False):
    net = claims.network(neuron, recurrent=recurrent, gain=6.0)
    if read is None:
        return net
    readout = tg.Readout.of(read, claims.SIZES[0], claims.OUTPUTS, bias=True)
    return tg.Network(*net.layers, readout=readout, dt=net.dt).init(random.key(7))


@cache
def _classes():
    weight = np.zeros((STEPS, BATCH))
    weight[5:20, 0], weight[8:, 1] = 0.1, 0.05
    weight[12] *= 2.0  # the largest: its label is the sequence's
    ys = np.tile(1 - LABELS, (STEPS, 1))
    ys[12] = LABELS
    return Data(claims.inputs(), jnp.asarray(ys), jnp.asarray(weight), None)


@cache
def _trains():
    trains = random.bernoulli(random.key(9), 0.2, (STEPS, BATCH, claims.OUTPUTS)).astype(float)
    return Data(claims.inputs(), trains, claims.weights(), None)


def _at_last_step():
    labels = jnp.tile(jnp.asarray(LABELS), (STEPS, 1))
    return Data(claims.inputs(), labels, jnp.zeros((STEPS, BATCH)).at[-1].set(1.0), None)


def _cross_entropy(score):
    score = score - score.max(axis=1, keepdims=True)
    return -np.log(np.exp(score) / np.exp(score).sum(axis=1, keepdims=True))[range(BATCH), LABELS]


def _largest(outputs):
    weight = np.asarray(_classes().weight)
    score = [[y[w > 0].max(axis=0) for y, w in zip(outputs.swapaxes(0, 1), weight.T, strict=True)]]
    return np.mean(weight.sum(axis=0) * _cross_entropy(np.array(score[0])))


def _latency(outputs):
    weight, score = np.asarray(_classes().weight), []
    for b in range(BATCH):
        chance = 1 / (1 + np.exp(-(outputs[weight[:, b] > 0, b] - 0.3) / 0.2))
        score.append(-np.cumprod(1 - chance, axis=0).sum(axis=0) / 4.0)
    return np.mean(weight.sum(axis=0) * _cross_entropy(np.array(score)))


def _distance(outputs):
    data, state, total = _trains(), np.zeros((2, BATCH, claims.OUTPUTS)), 0.0
    rise, decay = np.exp(-1e-3 / RISE), np.exp(-1e-3 / DECAY)
    for y, train, weight in zip(outputs, np.asarray(data.ys), np.asarray(data.weight), strict=True):
        state[0] = rise * state[0] + train
        state[1] = decay * state[1] + (1 - decay) * state[0]
        total += np.sum(weight[:, None] * 0.5 * (y - state[1]) ** 2) / BATCH
    return total


def _summed(outputs):
    return np.mean(_cross_entropy(outputs[-1]))


CASES = {
    "max_over_time": (losses.max_over_time(), None, _classes, _largest),
    "latency": (losses.first_spike_latency(0.3, 0.2, 4.0), None, _classes, _latency),
    "van_rossum": (
        losses.van_rossum(),
        tg.DoubleExponential(RISE, DECAY),
        _trains,
        _distance,
    ),
    "sum_over_time": (losses.cross_entropy(), tg.Integrator(), _at_last_step, _summed),
}
_outputs = eqx.filter_jit(lambda net, xs: net(xs)[0][-1])


@pytest.mark.parametrize("name", CASES)
def test_finite_differences_decide(name):
    loss, read, data, by_hand = CASES[name]
    net = _net(tg.Tanh(tau_mem=3e-3), read, recurrent=True)
    outcome = claims.block(net, rules.bptt(), loss, data())
    width = 1e-5

    def at(shift, where):
        moved = eqx.tree_at(where, net, where(net).at[1, 2].add(shift))
        return by_hand(np.array(_outputs(moved, data().xs)))

    assert float(outcome.loss) == pytest.approx(
        at(0.0, lambda n: n.readout.input.weight), rel=1e-12
    )
    for where in (lambda n: n.layers[0].recurrent.weight, lambda n: n.readout.input.weight):
        slope = (at(width, where) - at(-width, where)) / (2 * width)
        # The error of a central difference is of order width^2 and of rounding 1e-16 / width.
        assert slope == pytest.approx(float(where(outcome.gradient)[1, 2]), rel=1e-6, abs=1e-11)


@pytest.mark.parametrize("name", ["van_rossum", "sum_over_time"])
def test_block_rules_are_exact_under_a_readout_with_any_memory(name):
    loss, read, data, _ = CASES[name]
    net = _net(tg.LIF(tau_mem=10e-3), read)
    net = net.freeze("*.neuron.*")
    exact = claims.gradient(net, rules.bptt(), loss=loss, data=data())
    for plan in (Step, Chunk):
        ours = claims.gradient(net, rules.block_diagonal(), loss=loss, data=data(), plan=plan)
        for a, b in zip(*map(_weights, (ours, exact)), strict=True):
            assert jnp.max(jnp.abs(a - b)) <= claims.EXACT * jnp.max(jnp.abs(b))
    bare = claims.gradient(net, rules.block_diagonal(filter=NoFilter()), loss=loss, data=data())
    assert not np.allclose(*(g.layers[0].input.weight for g in (bare, exact)), rtol=1e-3)


def _weights(gradient):
    return gradient.layers[0].input.weight, gradient.readout.input.weight


def test_a_loss_of_the_whole_sequence_is_refused_online():
    net = _net(tg.LIF())
    for loss in (losses.max_over_time(), losses.first_spike_latency()):
        tg.Learner(net, rules.bptt(), loss, optax.sgd(0.1))
        with pytest.raises(ValueError, match=r"no sum over steps, so eprop cannot .*Use bptt\(\)"):
            tg.Learner(net, rules.eprop(), loss, optax.sgd(0.1))
        with pytest.raises(ValueError, match="one update per sequence, got update_every=4"):
            tg.Learner(net, rules.bptt(), loss, optax.sgd(0.1), update_every=4)
    with pytest.raises(ValueError, match="width and steps must be positive, got 0.0 and 1.0"):
        losses.first_spike_latency(width=0.0, steps=1.0)


def test_wrong_targets_of_van_rossum_are_refused(as_user):
    net = _net(tg.LIF(), tg.DoubleExponential())
    wrong = _trains()._replace(ys=jnp.zeros((STEPS, BATCH), int))
    with pytest.raises(TypeError, match="van_rossum needs spike trains of 2 lines"):
        claims.block(net, rules.eprop(), losses.van_rossum(), wrong)


def test_the_latency_of_a_spike_is_the_step_it_comes_at():
    y = jnp.zeros((8, 1, 2)).at[3, 0, 0].set(1.0)
    score = losses.first_spike_latency(0.5, 0.01, 1.0).over_time(y, jnp.ones((8, 1), bool))
    np.testing.assert_allclose(score, [[-3.0, -8.0]], rtol=1e-12)


def test_a_sequence_without_labels_counts_for_nothing():
    data = _classes()
    blank = data._replace(weight=data.weight.at[:, 1].set(0.0))
    outcome = claims.block(_net(tg.Tanh()), rules.bptt(), losses.max_over_time(), blank)
    finite = [bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(outcome.gradient)]
    assert all(finite) and jnp.isfinite(outcome.loss)


def test_the_squared_error_to_a_class_is_that_to_its_output(as_user):
    y = jnp.asarray([[0.25, -1.0, 2.0], [0.5, 0.0, 0.0]])
    weight = jnp.asarray([2.0, 0.0])
    loss, error = loss_and_error(losses.class_squared_error(), y, jnp.asarray([2, 0]), weight)
    assert float(loss) == 0.5 * (0.25**2 + 1 + 1)
    assert error.tolist() == [[0.25, -1.0, 1.0], [0.0, 0.0, 0.0]]
    with pytest.raises(TypeError, match="class_squared_error needs integer class targets"):
        losses.class_squared_error().at_step(y, y)
