"""OTPE against its equations in NumPy, where it is exact, and what it refuses."""

import numpy as np
import pytest

import claims
import tracegrad as tg

LEAK, SIZES = np.exp(-1 / 10), (4, 5, 4, 3)
DETACHED = tg.SubtractReset(detached=True)


def _network(layers, readout=10e-3, **neuron):
    neurons = [tg.LIF(tau_mem=10e-3, reset=DETACHED, **neuron) for _ in range(layers)]
    net = claims.network(*neurons, recurrent=False, readout=readout, gain=14.0)
    return net.freeze("*.neuron.*")


def _reference(net):
    """Equations of the rule for three layers and a memoryless readout, summed over the batch."""
    layers = [[np.asarray(a) for a in (d.input.weight, d.input.bias)] for d in net.layers]
    readout = [np.asarray(a) for a in (net.readout.input.weight, net.readout.input.bias)]
    batch = claims.BATCH
    v = [np.zeros((batch, n)) for n in SIZES[1:]]
    z, mean = [a.copy() for a in v], [a.copy() for a in v]
    trace = [np.zeros((batch, m)) for m in SIZES[:-1]]
    late = [np.zeros((batch, n, m)) for m, n in zip(SIZES, SIZES[1:], strict=False)]
    gradient, weight = [np.zeros(w.shape) for w, _ in layers], 0.0
    for x, target, share in zip(
        np.asarray(claims.inputs()),
        np.asarray(claims.targets()),
        np.asarray(claims.weights()),
        strict=True,
    ):
        seen = x
        ratio = LEAK * weight / (LEAK * weight + 1)
        weight = LEAK * weight + 1
        for k, (w, b) in enumerate(layers):
            trace[k] = LEAK * trace[k] + seen
            v[k] = LEAK * v[k] + seen @ w.T + b - z[k]
            psi = 1 / (10 * np.abs(v[k] - 1) + 1) ** 2
            late[k] = LEAK * late[k] + psi[:, :, None] * trace[k][:, None, :]
            mean[k] = ratio * mean[k] + (1 - ratio) * psi
            z[k] = seen = (v[k] > 1).astype(float)
        error = (seen @ readout[0].T + readout[1] - target) * share[:, None] / batch
        g = error @ readout[0]
        for k in reversed(range(3)):
            gradient[k] += np.einsum("bi,bij->ij", g, late[k])
            g = (g * mean[k]) @ layers[k][0]
    return gradient


def test_otpe_is_its_equations():
    net = _network(3, readout=None)
    ours = claims.gradient(net, tg.rules.otpe())
    for layer, theirs in zip(ours.layers, _reference(net), strict=True):
        size = np.max(np.abs(theirs))
        np.testing.assert_allclose(layer.input.weight, theirs, rtol=0, atol=1e-11 * size)


def test_otpe_is_exact_for_one_layer_under_a_leaky_readout_and_differs_below():
    one = _network(1)
    exact = claims.gradient(one, tg.rules.bptt())
    claims.assert_equal(claims.gradient(one, tg.rules.otpe()), exact)
    two = _network(2)
    ours, exact = claims.gradient(two, tg.rules.otpe()), claims.gradient(two, tg.rules.bptt())
    claims.assert_differ(ours, exact, "layers.0.input.weight")


def test_refusals():
    rule = tg.rules.otpe()
    with pytest.raises(ValueError, match="for feed-forward layers, got a recurrent connection"):
        rule.check(claims.network(tg.LIF()))
    with pytest.raises(ValueError, match="one leaky state, LIF or LI, got CubaLIF"):
        rule.check(claims.network(tg.CubaLIF(), recurrent=False))
    with pytest.raises(ValueError, match="one leaky state, LIF or LI, got Integrator"):
        net = claims.network(tg.LIF(), recurrent=False)
        summing = tg.Readout.of(tg.Integrator(), claims.SIZES[0], claims.OUTPUTS)
        rule.check(tg.Network(*net.layers, readout=summing, dt=1e-3))
    with pytest.raises(ValueError, match="one tau_mem for all layers and the readout, got"):
        rule.check(_network(1, readout=5e-3))
    with pytest.raises(ValueError, match=r"but layers\.0\.neuron\.tau_mem, readout.* learns"):
        rule.check(tg.Network(*_network(1).layers, readout=_network(1).readout, dt=1e-3))
    rule.check(_network(2))
