"""The two golden experiments as tracegrad learns them, from any draws."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import golden
import tracegrad as tg

REGRESSION_RATE, CLASSIFICATION_RATE = 1e-4, 5e-3


class Run(NamedTuple):
    """Of every iteration: the loss and the number of spikes."""

    losses: list[float]
    spikes: list[int]


def regression(draws: golden.Regression, rate: float = REGRESSION_RATE) -> Run:
    """LIF without refractoriness, random feedback, rate regulariser, SGD."""
    neuron = tg.LIF(
        tau_mem=30e-3,
        v_threshold=0.03,
        reset=tg.SubtractReset(detached=True),
        surrogate=tg.Triangle(0.3),
        normalised=True,
    )
    loss = tg.losses.mean_squared_error(tg.RateRegulariser(strength=300.0, target=0.01))
    learner, state = _learner(neuron, draws, 30e-3, loss, optax.sgd(rate))
    return _run(learner, state, draws, None)


def classification(draws: golden.Classification, rate: float = CLASSIFICATION_RATE) -> Run:
    """LIF and ALIF, half of each, refractory; random feedback, rate regulariser, Adam."""
    n = len(draws.w_in)
    strength = 1.7 * (1 - np.exp(-1 / 2000)) / (1 - np.exp(-1 / 20))
    neuron = tg.ALIF(
        tau_mem=20e-3,
        tau_adapt=2.0,
        v_threshold=0.6,
        adaptation=strength * (np.arange(n) >= n - n // 2),
        reset=tg.SubtractReset(detached=True),
        surrogate=tg.Triangle(0.3),
        refractory_steps=5,
    )
    # The source divides the regulariser by the steps of the loss window, as the loss.
    window = int(np.count_nonzero(draws.weight[0, :, 0]))
    loss = tg.losses.cross_entropy(tg.RateRegulariser(strength=300.0 / window, target=0.01))
    learner, state = _learner(neuron, draws, 20e-3, loss, _adam(rate))
    return _run(learner, state, draws, draws.weight)


def _learner(neuron, draws, tau_out, loss, optimiser):
    """A learner of one recurrent layer that starts from the drawn weights and feedback."""
    n = len(draws.w_in)
    net = tg.Network(
        tg.Layer(
            tg.Dense.from_arrays(jnp.asarray(draws.w_in)),
            neuron,
            recurrent=tg.Dense.from_arrays(jnp.asarray(draws.w_rec)),
            autapses=False,
        ),
        readout=tg.Readout(n, draws.w_out.shape[0], tau=tau_out),
        dt=1e-3,
    ).freeze("*.neuron.*")
    net = eqx.tree_at(
        lambda net: net.readout.input,
        net,
        tg.Dense.from_arrays(jnp.asarray(draws.w_out)),
    )
    rule = tg.rules.eprop(signal=tg.signals.Random())
    learner = tg.Learner(net, rule, loss, optimiser)
    state = learner.init(jax.random.key(0), batch=draws.xs.shape[2])
    return learner, state._replace(feedback=(jnp.asarray(draws.feedback),))


def _run(learner, state, draws, weight):
    losses, spikes = [], []
    for i, (xs, ys) in enumerate(zip(draws.xs, draws.ys, strict=True)):
        w = None if weight is None else jnp.asarray(weight[i])
        state, info = learner.sequence(state, jnp.asarray(xs), jnp.asarray(ys), w)
        losses.append(float(info.loss))
        # Rates are means over the steps and the batch.
        spikes.append(round(float(info.rates[0].sum()) * xs.shape[0] * xs.shape[1]))
    return Run(losses, spikes)


def _adam(rate, b1=0.9, b2=0.999, eps=1e-8):
    """Adam as in TensorFlow and NEST: eps is added to the root of the uncorrected moment."""

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return jnp.zeros(()), zeros, zeros

    def update(gradient, state, params=None):
        count, m, v = state
        count = count + 1.0
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, gradient)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, gradient)
        step = rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)
        change = jax.tree.map(lambda m, v: -step * m / (jnp.sqrt(v) + eps), m, v)
        return change, (count, m, v)

    return optax.GradientTransformation(init, update)
