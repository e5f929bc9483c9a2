"""The golden losses of e-prop: they pin timing, filter, refractoriness, regulariser, optimiser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import golden
import tracegrad as tg

RELATIVE = 1e-9  # the published losses have 12 digits after the point


def _learner(neuron, draws, tau_out, rule_loss, optimiser):
    """A learner of one recurrent layer that starts from the drawn weights and feedback."""
    n, inputs = draws.w_in.shape
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
    learner = tg.Learner(net, rule, rule_loss, optimiser)
    state = learner.init(jax.random.key(0), batch=1)
    return learner, state._replace(feedback=(jnp.asarray(draws.feedback),))


def _losses(learner, state, draws, weight=None):
    losses = []
    for i in range(golden.ITERATIONS):
        w = None if weight is None else jnp.asarray(weight[i])
        state, info = learner.sequence(state, jnp.asarray(draws.xs[i]), jnp.asarray(draws.ys[i]), w)
        losses.append(float(info.loss))
    return losses


def test_sine_regression():
    draws = golden.regression()
    neuron = tg.LIF(
        tau_mem=30e-3,
        v_threshold=0.03,
        reset=tg.SubtractReset(detached=True),
        surrogate=tg.Triangle(0.3),
        normalised=True,
    )
    loss = tg.losses.mean_squared_error(tg.RateRegulariser(strength=300.0, target=0.01))
    learner, state = _learner(neuron, draws, 30e-3, loss, optax.sgd(1e-4))
    assert _losses(learner, state, draws) == pytest.approx(golden.REGRESSION_LOSSES, rel=RELATIVE)


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


def test_evidence_accumulation_with_adam():
    draws = golden.classification()
    adaptive = np.arange(100) >= 50
    strength = 1.7 * (1 - np.exp(-1 / 2000)) / (1 - np.exp(-1 / 20))
    neuron = tg.ALIF(
        tau_mem=20e-3,
        tau_adapt=2.0,
        v_threshold=0.6,
        adaptation=strength * adaptive,
        reset=tg.SubtractReset(detached=True),
        surrogate=tg.Triangle(0.3),
        refractory_steps=5,
    )
    # The source divides the regulariser by the 150 steps of the loss window, as the loss.
    loss = tg.losses.cross_entropy(tg.RateRegulariser(strength=300.0 / 150, target=0.01))
    learner, state = _learner(neuron, draws, 20e-3, loss, _adam(5e-3))
    losses = _losses(learner, state, draws, draws.weight)
    assert losses == pytest.approx(golden.CLASSIFICATION_LOSSES, rel=RELATIVE)
