"""SuperSpike against its equations in NumPy, and the scale of its steps."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

STEPS, BATCH, SIZES = 30, 2, (4, 5, 3)
RISE, DECAY, MEMBRANE, SYNAPSE = 4e-3, 7e-3, 10e-3, 5e-3
RULE = tg.rules.superspike(signal=tg.signals.Random())


def _network(readout=None):
    neuron = tg.CubaLIF(MEMBRANE, SYNAPSE, normalised=False)
    below = [tg.Dense(m, n, gain=3.0) for m, n in zip(SIZES, SIZES[1:], strict=False)]
    eye = tg.Dense.from_arrays(jnp.eye(SIZES[-1]))
    readout = readout or tg.Readout.of(tg.DoubleExponential(RISE, DECAY), SIZES[-1], SIZES[-1])
    net = tg.Network(*(tg.Layer(d, neuron) for d in below), readout=readout, dt=1e-3)
    drawn = net.init(random.key(1))
    object.__setattr__(drawn.readout, "input", eye)  # the output population itself is judged
    return drawn.freeze("*.neuron.*", "readout.*")


def _data():
    xs = random.bernoulli(random.key(1), 0.4, (STEPS, BATCH, SIZES[0])).astype(float)
    trains = random.bernoulli(random.key(2), 0.2, (STEPS, BATCH, SIZES[-1])).astype(float)
    return Data(xs, trains, jnp.ones((STEPS, BATCH)), None)


def _reference(weights, feedback, data):
    """Gradient of both layers from the equations, in NumPy, and the loss."""
    alpha, beta = np.exp(-1e-3 / SYNAPSE), np.exp(-1e-3 / MEMBRANE)
    rise, decay = np.exp(-1e-3 / RISE), np.exp(-1e-3 / DECAY)
    xs, trains = np.asarray(data.xs), np.asarray(data.ys)
    i = [np.zeros((BATCH, n)) for n in SIZES[1:]]
    v, z = [a.copy() for a in i], [a.copy() for a in i]
    epsilon = [[np.zeros((BATCH, m)) for m in SIZES[:-1]] for _ in range(2)]
    trace = [[np.zeros((BATCH, *w.shape)) for w in weights] for _ in range(2)]
    error = [np.zeros((BATCH, SIZES[-1])) for _ in range(2)]
    gradient, loss = [np.zeros(w.shape) for w in weights], 0.0
    for x, train in zip(xs, trains, strict=True):
        seen, psi = x, []
        for k, w in enumerate(weights):
            epsilon[0][k] = alpha * epsilon[0][k] + seen
            epsilon[1][k] = beta * epsilon[1][k] + epsilon[0][k]
            i[k] = alpha * i[k] + seen @ w.T
            v[k] = beta * v[k] + i[k] - z[k]
            z[k] = seen = (v[k] > 1).astype(float)
            psi.append(1 / (10 * np.abs(v[k] - 1) + 1) ** 2)
        error[0] = rise * error[0] + seen - train
        error[1] = decay * error[1] + (1 - decay) * error[0]
        loss += 0.5 * np.sum(error[1] ** 2) / BATCH
        for k in range(2):
            product = psi[k][:, :, None] * epsilon[1][k][:, None, :]
            trace[0][k] = rise * trace[0][k] + product
            trace[1][k] = decay * trace[1][k] + (1 - decay) * trace[0][k]
            heard = error[1] if k == 1 else error[1] @ np.asarray(feedback[0]).T
            gradient[k] += np.einsum("bi,bij->ij", heard, trace[1][k]) / BATCH
    return gradient, loss


@pytest.mark.parametrize("plan", [Step, Chunk])
def test_superspike_is_its_equations(plan):
    net, data = _network(), _data()
    weights = [np.asarray(layer.input.weight) for layer in net.layers]
    feedback = RULE.signal.init(net, random.key(5))
    expected, loss = _reference(weights, feedback, data)
    outcome = claims.block(net, RULE, tg.losses.van_rossum(), data, plan=plan, feedback=feedback)
    claims.assert_alive(net, outcome.rates)
    assert float(outcome.loss) == pytest.approx(loss, rel=1e-12)
    for layer, theirs in zip(outcome.gradient.layers, expected, strict=True):
        size = np.max(np.abs(theirs))
        np.testing.assert_allclose(layer.input.weight, theirs, rtol=0, atol=1e-11 * size)


def test_targets_are_filtered_across_blocks():
    net, data = _network(), _data()
    loss = tg.losses.van_rossum()
    whole = claims.block(net, RULE, loss, data, plan=Step)
    halves = [
        Data(*(None if a is None else a[s] for a in data)) for s in (slice(15), slice(15, 30))
    ]
    first = claims.block(net, RULE, loss, halves[0], plan=Step)
    second = claims.block(net, RULE, loss, halves[1], plan=Step, stream=first.stream)
    assert float(first.loss + second.loss) == pytest.approx(float(whole.loss), rel=1e-12)
    total = first.gradient.layers[0].input.weight + second.gradient.layers[0].input.weight
    np.testing.assert_allclose(total, whole.gradient.layers[0].input.weight, rtol=1e-9)


def test_refusals():
    net = _network(tg.Readout(SIZES[-1], SIZES[-1]))
    with pytest.raises(ValueError, match="readout with the double exponential of its loss, got LI"):
        RULE.check(net)
    kernel = tg.losses.van_rossum()
    moving = tg.Network(*net.layers, readout=net.readout, dt=1e-3)
    with pytest.raises(ValueError, match=r"must stay, but readout\.neuron\.tau_mem learns"):
        kernel.check(moving)
    kernel.check(net)
    adaptive = tg.signals.OwnError(tg.signals.Adaptive())
    with pytest.raises(ValueError, match="layers below need fixed feedback|reads only the last"):
        adaptive.check(net)


def test_the_step_is_scaled_by_a_decaying_maximum():
    with pytest.raises(ValueError, match="decay must be between 0 and 1, got 1.5"):
        tg.scale_by_decaying_max(1.5)
    scale = optax.chain(tg.scale_by_decaying_max(0.25, epsilon=0.5), optax.scale(-2.0))
    state = scale.init(jnp.zeros(2))
    first, state = scale.update(jnp.array([4.0, -1.0]), state)
    np.testing.assert_allclose(first, [-2 * 4 / 4.5, 2 * 1 / 1.5])
    second, _ = scale.update(jnp.array([1.0, 3.0]), state)  # v = max(1, 16/4) = 4; max(9, 1/4)
    np.testing.assert_allclose(second, [-2 * 1 / 2.5, -2 * 3 / 3.5])
