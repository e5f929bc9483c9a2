"""Random and learned rules: their streams, their equations in NumPy, and that they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random
from jax.flatten_util import ravel_pytree

import claims
import tracegrad as tg
from tracegrad.learn.influences.kernel import Guess, _guess
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules = tg.rules
RANDOM = {r.name: r for r in (rules.forward_gradient(), rules.uoro(), rules.kf_rtrl())}
LEARNED = {r.name: r for r in (rules.dni(), rules.kernl())}
MSE = tg.losses.mean_squared_error()
LIF = claims.network(tg.LIF(tau_mem=10e-3))
TANH = claims.network(tg.Tanh(tau_mem=3e-3))
each = pytest.mark.parametrize("rule", (RANDOM | LEARNED).values(), ids=RANDOM | LEARNED)
HALF = claims.STEPS // 2


def compiled(net, rule):
    """A block: gradient and what the feedback is taught, flat; the stream after it; the rates."""
    plan = Step(rule, MSE)
    circuit = net.discretise()

    @jax.jit
    def block(feedback, stream, data):
        outcome = plan.block(circuit, feedback, stream, data)
        gradient, taught, signal = rule.signal.learn(
            circuit, feedback, outcome.gradient, outcome.stream.signal
        )
        after = outcome.stream._replace(signal=signal)
        found = pull_back(net, gradient), taught
        return found, after, outcome.rates

    stream = plan.rest(circuit, claims.BATCH, random.key(5))
    return block, rule.signal.init(net, random.key(6)), stream


def flat(found):
    return np.asarray(ravel_pytree(found)[0])


def whole(valid=None):
    valid = jnp.ones((claims.STEPS, claims.BATCH), bool) if valid is None else valid
    xs = jnp.where(valid[..., None], claims.inputs(), 7.0)
    return Data(xs, claims.targets(), jnp.where(valid, claims.weights(), 0.0), valid)


@each
def test_streams(rule):
    """Blocks carry on, padding draws nothing and changes nothing, samples draw for themselves."""
    block, feedback, start = compiled(LIF, rule)
    found, _, rates = block(feedback, start, whole())
    claims.assert_alive(LIF, rates)
    steps = jnp.broadcast_to(jnp.arange(claims.STEPS)[:, None], (claims.STEPS, claims.BATCH))
    cut = jnp.array([HALF, HALF + 3])[None]
    first, middle, _ = block(feedback, start, whole(steps < cut))
    second, _, _ = block(feedback, middle, whole(steps >= cut))
    together = flat(first) + flat(second)
    np.testing.assert_allclose(together, flat(found), rtol=1e-9, atol=1e-12)
    assert np.abs(flat(second)).max() > 1e-6

    same = jax.tree.map(lambda a: jnp.stack([a[:, 0]] * 2, axis=1), whole())
    shares = [flat(block(feedback, start, _only(same, sample))[0][0]) for sample in (0, 1)]
    both = flat(block(feedback, start, same)[0][0])
    np.testing.assert_allclose(shares[0] + shares[1], both, rtol=1e-9, atol=1e-12)
    differ = not np.allclose(shares[0], shares[1], rtol=1e-3)
    assert differ == (rule.name in RANDOM), "each sample has its own draws"


def _only(data, sample):
    """The other sample is padding."""
    valid = data.valid & (jnp.arange(claims.BATCH) == sample)[None]
    return data._replace(valid=valid, weight=jnp.where(valid, data.weight, 0.0))


def _tanh():
    """The network's numbers: W, b, V, alpha, and of the readout W, b, kappa."""
    stage, readout = TANH.discretise().stages
    hidden = stage.weight["current"], stage.bias["current"], stage.recurrent["current"]
    last = readout.matrix, readout.bias["current"], readout.coefficients["alpha"][0]
    return [np.asarray(a) for a in (*hidden, stage.coefficients["alpha"][0], *last)]


def _data(sample):
    data = Data(claims.inputs(), claims.targets(), claims.weights(), None)
    return zip(*(np.asarray(a)[:, sample] for a in data[:3]), strict=True)


def test_dni_is_its_equation():
    """Row by row in NumPy: h = (a, z, u), u the readout's state before the step."""
    w, b, v, alpha, out, out_b, kappa = _tanh()
    n, o = out.shape[1], out.shape[0]
    block, (predictor,), stream = compiled(TANH, rules.dni())
    (gradient, (taught,)), _, _ = block((predictor,), stream, whole())
    a_hat, lesson = np.asarray(predictor), np.zeros(predictor.shape)
    by_w, by_v = np.zeros(w.shape), np.zeros(v.shape)
    for sample in range(claims.BATCH):
        a, z, u, after = np.zeros(n), np.zeros(n), np.zeros(o), np.zeros(o)
        seen, known = np.zeros(a_hat.shape[1]), np.zeros(2 * n + o)
        for x, target, weight in _data(sample):
            p = np.tanh(w @ x + b + v @ z)
            phi = (1 - alpha) * (1 - p**2)
            row = np.hstack([alpha * np.eye(n), phi[:, None] * v, np.zeros((n, o))])
            held = np.hstack([np.zeros((o, n)), (1 - kappa) * out, kappa * np.eye(o)])
            jacobian, before_z = np.vstack([row, row, held]), z
            a = alpha * a + (1 - alpha) * p
            z, u = a, after
            now = np.concatenate([a, z, u, weight * target, [1.0]])
            credit = a_hat @ now
            lesson += np.outer(a_hat @ seen - known - credit @ jacobian, seen)
            after = kappa * u + (1 - kappa) * (out @ z + out_b)
            delta = weight * (after - target)
            known = np.concatenate([np.zeros(n), (1 - kappa) * out.T @ delta, kappa * delta])
            seen = now
            by_w += np.outer((credit[:n] + credit[n : 2 * n]) * phi, x)
            by_v += np.outer((credit[:n] + credit[n : 2 * n]) * phi, before_z)
    layer = gradient.layers[0]
    np.testing.assert_allclose(layer.input.weight, by_w / claims.BATCH, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.recurrent.weight, by_v / claims.BATCH, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(taught, lesson / claims.BATCH, rtol=1e-9, atol=1e-12)


def test_kernl_is_rflo_until_it_learns():
    """B <- (1 - alpha) B + alpha phi' a, filtered by the readout; then with a matrix A."""
    w, b, v, alpha, out, out_b, kappa = _tanh()
    block, feedback, stream = compiled(TANH, rules.kernl(decay=float(alpha)))
    other = feedback[0] + 0.3 * random.normal(random.key(8), feedback[0].shape)
    for kernel in (feedback[0], other):
        by_w, by_v = np.zeros(w.shape), np.zeros(v.shape)
        for sample in range(claims.BATCH):
            a, y = np.zeros(len(w)), np.zeros(len(out))
            trace = [np.zeros(w.shape), np.zeros(v.shape)]
            filtered = [np.zeros(w.shape), np.zeros(v.shape)]
            for x, target, weight in _data(sample):
                p = np.tanh(w @ x + b + v @ a)
                new = [np.outer((1 - alpha) * (1 - p**2), side) for side in (x, a)]
                trace = [alpha * old + now for old, now in zip(trace, new, strict=True)]
                filtered = [
                    kappa * old + (1 - kappa) * now
                    for old, now in zip(filtered, trace, strict=True)
                ]
                a = alpha * a + (1 - alpha) * p
                y = kappa * y + (1 - kappa) * (out @ a + out_b)
                signal = (weight * (y - target)) @ out @ np.asarray(kernel)
                by_w += signal[:, None] * filtered[0] / claims.BATCH
                by_v += signal[:, None] * filtered[1] / claims.BATCH
        layer = block((kernel, feedback[1]), stream, whole())[0][0].layers[0]
        np.testing.assert_allclose(layer.input.weight, by_w, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(layer.recurrent.weight, by_v, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_learned_brings_the_gradient_closer(name):
    """The network stands still, only the feedback learns: the gradient turns to the exact one."""
    rule = LEARNED[name]
    rate = {"dni": 0.01, "kernl": 0.05}[name]  # a prediction taught by itself is stable below 0.05
    block, feedback, start = compiled(TANH, rule)
    exact = flat(claims.gradient(TANH, rules.bptt(), loss=MSE).layers[0].recurrent)

    def cosine(found):
        ours = flat(found[0].layers[0].recurrent)
        return float(ours @ exact / np.linalg.norm(ours) / np.linalg.norm(exact))

    began = cosine(block(feedback, start, whole())[0])
    moving = start
    for _ in range(200):
        stream = start._replace(signal=moving.signal) if name == "dni" else moving
        (_, taught), moving, _ = block(feedback, stream, whole())
        feedback = jax.tree.map(lambda a, b: a - rate * b, feedback, taught)
    ended = cosine(block(feedback, start, whole())[0])
    assert ended > began + 0.01


@each
def test_hidden_weights_learn(rule):
    """The readout is frozen, so that the loss falls only through what the rule estimates."""
    net = TANH.freeze("*.neuron.*", "readout.*")
    learner = tg.Learner(net, rule, MSE, optax.sgd(0.02))
    state = learner.init(random.key(0), batch=32)
    feedback = jax.tree.map(jnp.copy, state.feedback)
    xs, ys = (jnp.tile(a, (1, 16, 1)) for a in (claims.inputs(), claims.targets()))
    losses = []
    for _ in range(50):
        state, info = learner.sequence(state, xs, ys)
        losses.append(float(info.loss))
    assert np.mean(losses[-5:]) < 0.85 * losses[0]
    pairs = zip(feedback, state.feedback, strict=True)
    assert all(bool(jnp.any(a != b)) for a, b in pairs), "what is learned must outlive a sequence"
    assert len(feedback) == {"dni": 1, "kernl": 2}.get(rule.name, 0)


def test_the_kernel_descends_its_prediction_error():
    """The gradients of A and of the decays are those of AD through the whole sum."""
    now, deviation = random.normal(random.key(0), (2, 7, 2, 3))
    learned = (random.normal(random.key(1), (3, 3)), random.normal(random.key(2), (3,)))

    def error(learned):
        def body(noise, seen):
            noise = jax.nn.sigmoid(learned[1])[None] * noise + seen[0]
            return noise, 0.5 * jnp.sum((noise @ learned[0].T - seen[1]) ** 2)

        return jnp.sum(jax.lax.scan(body, jnp.zeros((2, 3)), (now, deviation))[1])

    def body(guess, seen):
        return _guess(guess, (learned[0], jax.nn.sigmoid(learned[1])), *seen), None

    none = jnp.zeros((2, 3))
    start = Guess(none, none, jnp.zeros((2, 3, 3)), none)
    end, _ = jax.lax.scan(body, start, (now, deviation))
    kernel, decay = jax.grad(error)(learned)
    np.testing.assert_allclose(jnp.sum(end.kernel, axis=0), kernel, rtol=1e-10)
    np.testing.assert_allclose(jnp.sum(end.decay, axis=0), decay, rtol=1e-10)


def test_refusals():
    deep = claims.network(tg.LIF(), tg.LIF())
    with pytest.raises(ValueError, match=r"learned for one layer, got 2\. Use one Layer, or uoro"):
        rules.dni().check(deep)
    for bad in (rules.kernl(decay=1.0), rules.kernl(noise=0.0)):
        with pytest.raises(ValueError, match="needs 0 < decay < 1 and noise > 0, got"):
            bad.check(deep)
