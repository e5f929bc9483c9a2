"""Reward-based e-prop: its equations in NumPy, refusals, and a cue task learned from rewards."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from tracegrad.learn.plans.plan import Data

GAMMA, VALUE, STEPS, BATCH = 0.9, 0.5, 50, 2
LEAK, KAPPA = np.exp(-1 / 10), np.exp(-1 / 5)
LOSS = tg.losses.actor_critic(VALUE)


def _network(inputs=4, neurons=6, gain=6.0):
    layer = tg.Layer(
        tg.Dense(inputs, neurons, gain=gain),
        tg.LIF(tau_mem=10e-3),
        recurrent=tg.Dense(neurons, neurons),
    )
    readout = tg.Readout(neurons, 3, tau=5e-3)
    return tg.Network(layer, readout=readout, dt=1e-3).freeze("*.neuron.*")


def _data():
    """Actions at some steps, rewards, and two episodes: step 30 closes the first."""
    rng = np.random.default_rng(0)
    ys = np.zeros((STEPS, BATCH, 3))
    ys[..., 2] = rng.normal(size=(STEPS, BATCH))
    chosen = rng.integers(0, 3, (STEPS, BATCH))
    ys[..., :2] = np.eye(3)[chosen][..., :2]  # the third stands for no action
    weight = np.ones((STEPS, BATCH))
    weight[30] = 0.0
    valid = np.ones((STEPS, BATCH), bool)
    valid[40:, 1] = False
    weight[40:, 1] = 0.0
    xs = (rng.random((STEPS, BATCH, 4)) < 0.4).astype(float)
    return Data(*map(jnp.asarray, (xs, ys, weight, valid)))


def _reference(net, data):
    """Gradient of input, recurrent and readout weights from the equations, sample by sample."""
    layer, readout = net.layers[0], np.asarray(net.readout.input.weight)
    weights = [np.asarray(layer.input.weight), np.asarray(layer.recurrent.weight)]
    total = [np.zeros(w.shape) for w in (*weights, readout)]
    for sample in range(BATCH):
        n = weights[0].shape[0]
        v, z, y = np.zeros(n), np.zeros(n), np.zeros(3)
        traces = [np.zeros(weights[0].shape[1]), np.zeros(n)]
        late = [np.zeros(w.shape) for w in weights]
        read = np.zeros(n)
        waits = [np.zeros(w.shape) for w in total]
        before = None
        for x, target, weight, valid in zip(*(np.asarray(a)[:, sample] for a in data), strict=True):
            if not valid:
                continue
            traces = [LEAK * e + a for e, a in zip(traces, (x, z), strict=True)]
            v = LEAK * v + weights[0] @ x + weights[1] @ z - z
            psi = 1 / (10 * np.abs(v - 1) + 1) ** 2
            z = (v > 1).astype(float)
            y = KAPPA * y + (1 - KAPPA) * readout @ z
            late = [
                KAPPA * q + (1 - KAPPA) * np.outer(psi, e)
                for q, e in zip(late, traces, strict=True)
            ]
            read = KAPPA * read + (1 - KAPPA) * z
            acts = weight > 0
            if before is not None:
                delta = before[0] + GAMMA * (y[2] if acts else 0.0) - before[1]
                total = [g + delta * f / BATCH for g, f in zip(total, waits, strict=True)]
            error = np.zeros(3)
            if acts:
                policy = np.exp(y[:2]) / np.exp(y[:2]).sum()
                error = np.append(policy * target[:2].sum() - target[:2], -VALUE)
            products = [(readout.T @ error)[:, None] * q for q in late]
            products.append(np.outer(error, read))
            waits = [acts * GAMMA * f + p for f, p in zip(waits, products, strict=True)]
            before = (target[2], y[2]) if acts else None
    return total


def test_reward_eprop_is_its_equations():
    net, data = _network().init(random.key(2)), _data()
    outcome = claims.block(net, tg.rules.reward_eprop(GAMMA), LOSS, data)
    claims.assert_alive(net, outcome.rates)
    mine = outcome.gradient
    ours = (mine.layers[0].input.weight, mine.layers[0].recurrent.weight, mine.readout.input.weight)
    for a, b in zip(ours, _reference(net, data), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.max(np.abs(b)))


def test_a_cued_choice_is_learned_from_rewards():
    """Two cues, two arms, reward 1 for the right one: from chance to far above it."""
    step = optax.chain(tg.scale_by_decaying_max(0.9), optax.scale(-2e-2))
    learner = tg.Learner(_network(4, 20), tg.rules.reward_eprop(GAMMA), LOSS, step)
    state = learner.init(random.key(0), batch=32)
    act = jax.jit(lambda net, xs: net(xs)[0][-1][5])
    rng, share = np.random.default_rng(0), []
    for _ in range(60):
        cue = rng.integers(0, 2, 32)
        xs = np.zeros((7, 32, 4))
        xs[:4, np.arange(32), 2 * cue] = xs[:4, np.arange(32), 2 * cue + 1] = 1.0
        logits = np.asarray(act(state.network, jnp.asarray(xs)))
        left = 1 / (1 + np.exp(logits[:, 1] - logits[:, 0]))
        chosen = (rng.random(32) > left).astype(int)
        ys, weight = np.zeros((7, 32, 3)), np.ones((7, 32))
        ys[5, np.arange(32), chosen] = 1.0
        ys[5, :, 2] = share_of = (chosen == cue).astype(float)
        weight[6] = 0.0  # the episode is over
        share.append(share_of.mean())
        state, _ = learner.sequence(state, *map(jnp.asarray, (xs, ys, weight)))
    # At chance the share right of 32 choices has a standard deviation of 0.09, of 320 0.03.
    assert share[0] < 0.75 and np.mean(share[-10:]) > 0.85


def test_refusals(as_user):
    rule, net = tg.rules.reward_eprop(), _network()
    with pytest.raises(ValueError, match="one unit for each action and one for the value, got 2"):
        rule.check(claims.network(tg.LIF()))
    with pytest.raises(ValueError, match=r"belong together, .* got reward_eprop"):
        tg.Learner(net, rule, tg.losses.mean_squared_error(), optax.sgd(0.1))
    with pytest.raises(ValueError, match=r"belong together, .* got eprop"):
        tg.Learner(net, tg.rules.eprop(), LOSS, optax.sgd(0.1))
    with pytest.raises(ValueError, match="discount must be at least 0 and below 1, got 1"):
        tg.rules.reward_eprop(1.0)
    with pytest.raises(TypeError, match="actor_critic needs real targets of shape"):
        LOSS.at_step(jnp.zeros((2, 3)), jnp.zeros((2, 2)))
