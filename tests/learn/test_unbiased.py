"""Unbiased rules: the mean over draws is the exact gradient, and nears it as one over sqrt(N)."""

import jax
import numpy as np
import pytest
from jax import random
from jax.flatten_util import ravel_pytree

import claims
import tracegrad as tg
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules = tg.rules
LOSS = tg.losses.mean_squared_error(tg.RateRegulariser(strength=2.0, target=0.1))
DRAWS, STEPS, RANDOM = 8192, 12, 8


def _layer(inputs, size, neuron):
    recurrent = tg.Dense(size, size, gain=1.5)
    return tg.Layer(tg.Dense(inputs, size, gain=3.0, bias=True), neuron, recurrent)


# Smooth below, spiking above, both read by a leaky readout; so small that draws are cheap.
NET = tg.Network(
    _layer(2, 3, tg.Tanh(tau_mem=3e-3)),
    _layer(3, 2, tg.LIF(tau_mem=10e-3)),
    readout=tg.Readout(5, 1, tau=5e-3, all_layers=True),
    dt=1e-3,
).init(random.key(6))
RULES = {rule.name: rule for rule in (rules.forward_gradient(), rules.uoro(), rules.kf_rtrl())}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def data():
    xs, ys = claims.inputs()[..., :2], claims.targets()[..., :1]
    return jax.tree.map(lambda a: a[:STEPS], Data(xs, ys, claims.weights(), None))


def exact(rule):
    found = claims.gradient(NET, rule, loss=LOSS, data=data())
    return np.asarray(ravel_pytree(found)[0])


def draws(rule):
    """One gradient of the block for each of `DRAWS` draws, as rows."""
    plan, block = Step(rule, LOSS), data()

    @jax.jit
    @jax.vmap
    def one(key):
        circuit = NET.discretise()
        stream = plan.rest(circuit, claims.BATCH, key)
        outcome = plan.block(circuit, (), stream, block)
        return ravel_pytree(pull_back(NET, outcome.gradient))[0]

    return np.asarray(one(random.split(random.key(11), DRAWS)))


def directions(mean, other):
    """Where to look for a bias: the exact gradient, what another rule lacks of it, at random."""
    drawn = np.random.default_rng(3).normal(size=(RANDOM, mean.size)) * np.abs(mean)
    return np.stack([mean, mean - other, *drawn])


def z(found, mean, along):
    """Error of the mean along each direction, in standard errors: beyond 4 is no accident."""
    seen = (found - mean) @ along.T
    return np.abs(seen.mean(axis=0)) / (seen.std(axis=0) / len(found) ** 0.5)


def error(found, mean, size):
    """Root mean square error of the means of groups of `size` draws."""
    groups = found.reshape(-1, size, found.shape[1]).mean(axis=1)
    return np.sqrt(np.mean(np.sum((groups - mean) ** 2, axis=1)))


@each_rule
def test_mean_over_draws_is_the_exact_gradient(rule):
    found, mean = draws(rule), exact(rules.bptt())
    along = directions(mean, exact(rules.block_diagonal()))
    assert max(z(found, mean, along)) < 4
    assert max(z(found, 0.7 * mean, along)) > 4, "a gradient too short would be seen"
    # 512 groups of 16 and 32 groups of 256: the ratio is 4, known to about 10 %.
    assert error(found, mean, 16) / error(found, mean, 256) == pytest.approx(4, rel=0.25)
