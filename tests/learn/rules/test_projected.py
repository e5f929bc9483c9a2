"""OSTTP, ETLP and DECOLLE: their equations, and what tells them apart."""

import jax
import numpy as np
import pytest
from jax import lax, random

import claims
import tracegrad as tg
from claims import assert_differ
from tracegrad.learn.plans.plan import Data

LEAK, SIZES = np.exp(-1 / 10), (4, 5, 4)
CLASSES = tg.losses.cross_entropy()


def _network(reset=None, tau=10e-3):
    neurons = [tg.LIF(tau_mem=tau, reset=reset or tg.SubtractReset()) for _ in range(2)]
    return claims.network(*neurons, gain=6.0).freeze("*.neuron.*")


def _data():
    labels = random.randint(random.key(4), (claims.STEPS, claims.BATCH), 0, claims.OUTPUTS)
    return Data(claims.inputs(), labels, claims.weights(), None)


def _reference(net, feedback, keep_reset):
    """Presynaptic trace (or own trace with the reset), times psi, times B y*, in NumPy."""
    data, batch = _data(), claims.BATCH
    v = [np.zeros((batch, n)) for n in SIZES[1:]]
    z, psi = [a.copy() for a in v], [a.copy() for a in v]
    names = [(layer.input.weight, layer.recurrent.weight) for layer in net.layers]
    weights = [[np.asarray(w) for w in pair] for pair in names]
    trace = [[np.zeros((batch, *w.shape)) for w in pair] for pair in weights]
    gradient = [[np.zeros(w.shape) for w in pair] for pair in weights]
    one_hot = np.eye(claims.OUTPUTS)[np.asarray(data.ys)] * np.asarray(data.weight)[..., None]
    for x, target in zip(np.asarray(data.xs), one_hot / batch, strict=True):
        seen = x
        for k, (w, recurrent) in enumerate(weights):
            own = LEAK - psi[k] if keep_reset else np.full_like(psi[k], LEAK)
            for part, before in enumerate((seen, z[k])):
                trace[k][part] = own[:, :, None] * trace[k][part] + before[:, None, :]
            bias = np.asarray(net.layers[k].input.bias)
            v[k] = LEAK * v[k] + seen @ w.T + z[k] @ recurrent.T + bias - z[k]
            psi[k] = 1 / (10 * np.abs(v[k] - 1) + 1) ** 2
            z[k] = seen = (v[k] > 1).astype(float)
            heard = psi[k] * (target @ np.asarray(feedback[k]).T)
            for part in range(2):
                gradient[k][part] += np.einsum("bi,bij->ij", heard, trace[k][part])
    return gradient


@pytest.mark.parametrize(
    ("rule", "keep_reset"), [(tg.rules.osttp(), True), (tg.rules.etlp(), False)]
)
def test_target_projection_meets_the_trace(rule, keep_reset):
    net = _network()
    feedback = rule.signal.init(net, random.key(5))
    ours = claims.gradient(net, rule, loss=CLASSES, data=_data(), feedback=feedback)
    expected = _reference(net, feedback, keep_reset)
    other = _reference(net, feedback, not keep_reset)
    for layer, theirs, wrong in zip(ours.layers, expected, other, strict=True):
        for a, b, c in zip(
            (layer.input.weight, layer.recurrent.weight), theirs, wrong, strict=True
        ):
            size = np.max(np.abs(b))
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * size)
            assert np.max(np.abs(np.asarray(a) - c)) > 1e-3 * size, (
                "the reset path makes a difference"
            )


def test_decolle_is_ad_of_decoupled_local_losses():
    net, rule, data = _network(), tg.rules.decolle(), _data()
    feedback = rule.signal.init(net, random.key(5))

    def objective(net):
        circuit = net.discretise().detach_reset()

        def body(state, now):
            z, target, weight = now
            after, total = [], 0.0
            for stage, before in zip(circuit.stages[:-1], state, strict=True):
                still = lax.stop_gradient(before.z)
                currents = stage.current(stage.feedforward(lax.stop_gradient(z)), still)
                after.append(stage.cell(stage.coefficients, before._replace(z=still), currents))
                z = after[-1].z
                matrix = feedback[len(after) - 1]
                read = z @ matrix[:-1] + matrix[-1][None]
                total += (weight * CLASSES.at_step(read, target)).sum() / claims.BATCH
            return tuple(after), total

        start = circuit.rest(claims.BATCH)[:-1]
        return lax.scan(body, start, (data.xs, data.ys, data.weight))[1].sum()

    theirs = jax.jit(jax.grad(objective))(net)
    ours = claims.gradient(net, rule, loss=CLASSES, data=data, feedback=feedback)
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        for mine, wanted in zip(*map(jax.tree.leaves, (a, b)), strict=True):
            size = np.max(np.abs(wanted))
            assert size > 0
            np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-11 * size)
    symmetric = claims.gradient(net, tg.rules.eprop(), loss=CLASSES, data=data)
    assert_differ(ours, symmetric, "layers.0.input.weight")


def test_decolle_draws_its_readouts_with_the_given_amplitude():
    small, large = (
        tg.rules.decolle(amplitude).signal.init(_network(), random.key(5))
        for amplitude in (0.5, 2.0)
    )
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(4 * a, b, rtol=1e-12)
