"""Every neuron against its equations, written out step by step with plain numbers."""

import math

import jax
import jax.numpy as jnp
import pytest

import tracegrad as tg
from tracegrad.model import NEURONS
from tracegrad.model.neuron import check_neuron

DT = 1e-3
CURRENTS = (0.9, 0.0, 1.4, 0.2, 0.0, 2.5, 0.3, 0.0, 0.0, 1.9)


def simulate(neuron, currents=CURRENTS):
    """States and outputs of one neuron, as lists of numbers."""
    c = neuron.coefficients(DT)
    s, z = neuron.init(c), jnp.zeros(())
    states, outputs = [], []
    for current in currents:
        s = neuron.step(c, s, z, jnp.asarray(current))
        z = neuron.output(c, s)
        states.append({k: float(v) for k, v in s.items()})
        outputs.append(float(z))
    return states, outputs


def follow(step, currents=CURRENTS):
    """The same from a function of (previous state, previous output, current), in plain Python."""
    s, z, states, outputs = None, 0.0, [], []
    for current in currents:
        s, z = step(s, z, current)
        states.append(s)
        outputs.append(z)
    return states, outputs


def same(ours, expected):
    assert ours[1] == pytest.approx(expected[1], abs=1e-12)
    for a, b in zip(ours[0], expected[0], strict=True):
        assert a == pytest.approx(b, abs=1e-12)


RESETS = {
    "subtract": (tg.SubtractReset(), lambda v, z, theta: v - theta * z),
    "zero": (tg.ZeroReset(), lambda v, z, theta: v * (1 - z)),
    "none": (tg.NoReset(), lambda v, z, theta: v),
}
each_reset = pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS)


@each_reset
@pytest.mark.parametrize("normalised", [False, True])
def test_lif(reset, normalised):
    ours, apply = reset
    a, theta = math.exp(-1 / 20), 0.2 if normalised else 1.0
    gain = 1 - a if normalised else 1.0

    def step(s, z, current):
        v = apply(a * (s["v"] if s else 0.0) + gain * current, z, theta)
        return {"v": v}, float(v > theta)

    neuron = tg.LIF(tau_mem=20e-3, v_threshold=theta, reset=ours, normalised=normalised)
    expected = follow(step)
    assert 0 < sum(expected[1]) < len(CURRENTS)
    same(simulate(neuron), expected)


@each_reset
@pytest.mark.parametrize("old_current", [False, True])
def test_cuba_lif(reset, old_current):
    ours, apply = reset
    a, b, theta = math.exp(-1 / 5), math.exp(-1 / 10), 0.5

    def step(s, z, current):
        s = s or {"i_syn": 0.0, "v": 0.0}
        i_syn = a * s["i_syn"] + current
        seen = s["i_syn"] if old_current else i_syn
        v = apply(b * s["v"] + (1 - b) * seen, z, theta)
        return {"i_syn": i_syn, "v": v}, float(v > theta)

    neuron = tg.CubaLIF(
        tau_mem=10e-3, tau_syn=5e-3, v_threshold=theta, reset=ours, old_current=old_current
    )
    expected = follow(step)
    assert 0 < sum(expected[1]) < len(CURRENTS)
    same(simulate(neuron), expected)


def test_alif_adapts_and_is_refractory():
    a, rho, theta, beta, n_ref = math.exp(-1 / 20), math.exp(-1 / 50), 1.0, 0.3, 3

    def step(s, z, current):
        s = s or {"v": 0.0, "b": 0.0, "r": 0.0}
        v = a * s["v"] + current - theta * z
        b = rho * s["b"] + z
        r = min(max(s["r"] + n_ref * z - 1, 0), n_ref)
        fires = v > theta + beta * b and r == 0
        return {"v": v, "b": b, "r": r}, float(fires)

    neuron = tg.ALIF(
        tau_mem=20e-3, tau_adapt=50e-3, v_threshold=theta, adaptation=beta, refractory_steps=n_ref
    )
    currents = (3.0,) * 10  # would fire at every step without refractoriness
    expected = follow(step, currents)
    assert expected[1] == [1, 0, 0, 1, 0, 0, 1, 0, 0, 1]
    same(simulate(neuron, currents), expected)


def test_alif_has_no_surrogate_derivative_while_refractory():
    neuron = tg.ALIF(refractory_steps=3)
    c = neuron.coefficients(DT)

    def output(r):
        state = {"v": jnp.asarray(1.0), "b": jnp.asarray(0.0), "r": jnp.asarray(r)}
        return jax.grad(lambda v: neuron.output(c, state | {"v": v}))(jnp.asarray(1.0))

    assert float(output(0.0)) == pytest.approx(0.3)
    assert float(output(2.0)) == 0.0


def test_leaky_integrator_and_rate_unit():
    a = math.exp(-1 / 20)

    def leaky(s, z, current):
        v = a * (s["v"] if s else 0.0) + (1 - a) * current
        return {"v": v}, v

    def rate(s, z, current):
        value = a * (s["a"] if s else 0.0) + (1 - a) * math.tanh(current)
        return {"a": value}, value

    same(simulate(tg.LI(tau_mem=20e-3)), follow(leaky))
    same(simulate(tg.Tanh(tau_mem=20e-3)), follow(rate))


def test_detached_reset_has_no_derivative_and_the_same_value():
    for reset in (tg.SubtractReset(), tg.ZeroReset()):
        v, z, theta = jnp.asarray(0.7), jnp.asarray(1.0), jnp.asarray(1.2)
        slope = jax.grad(lambda z, r: r(v, z, theta))  # noqa: B023
        assert float(slope(z, reset)) != 0.0
        assert float(slope(z, reset.detach())) == 0.0
        assert float(reset(v, z, theta)) == float(reset.detach()(v, z, theta))


@pytest.mark.parametrize("kind", NEURONS)
def test_conformance(kind):
    neuron = kind()
    check_neuron(neuron, DT)
    c = neuron.coefficients(DT)
    state = neuron.init(c)
    after = neuron.step(c, state, jnp.zeros(()), jnp.ones(()))
    assert set(after) == set(state)
    assert all(v.shape == () and v.dtype == jnp.float64 for v in after.values())
    slopes = jax.grad(lambda i: neuron.output(c, neuron.step(c, state, jnp.zeros(()), i)))
    assert float(slopes(jnp.asarray(0.5))) != 0.0, "the current must reach the output"


def test_neurons_that_break_the_contract_are_refused():
    class Plain(tg.AbstractNeuron):
        tau: float = 0.02
        reset: tg.AbstractReset = tg.NoReset()

        def coefficients(self, dt):
            return {"alpha": jnp.exp(jnp.asarray(-dt / self.tau))}

        def init(self, c):
            return {"v": 0.0 * c["alpha"]}

        def step(self, c, s, z, current):
            return {"v": c["alpha"] * s["v"] + current}

        def output(self, c, s):
            return s["v"]

    with pytest.raises(TypeError, match=r"Plain\.tau is a plain float and could not learn"):
        check_neuron(Plain(), DT)

    class Forgetful(tg.AbstractNeuron):
        tau: tg.Positive = tg.positive(0.02)
        reset: tg.AbstractReset = tg.NoReset()

        def coefficients(self, dt):
            return {"alpha": tg.decay(dt, self.tau)}

        def init(self, c):
            return {"v": 0.0 * c["alpha"], "w": 0.0 * c["alpha"]}

        def step(self, c, s, z, current):
            return {"v": c["alpha"] * s["v"] + current}

        def output(self, c, s):
            return s["v"]

    with pytest.raises(TypeError, match=r"must return the states \['v', 'w'\], got \['v'\]"):
        check_neuron(Forgetful(), DT)

    class Wide(tg.AbstractNeuron):
        tau: tg.Positive = tg.positive(0.02)
        reset: tg.AbstractReset = tg.NoReset()

        def coefficients(self, dt):
            return {"alpha": tg.decay(dt, self.tau)}

        def init(self, c):
            return {"v": 0.0 * c["alpha"]}

        def step(self, c, s, z, current):
            return {"v": jnp.stack([s["v"], current])}

        def output(self, c, s):
            return s["v"]

    with pytest.raises(TypeError, match="must be written for one neuron"):
        check_neuron(Wide(), DT)


def test_time_constants_must_be_positive():
    for value in (0.0, -1e-3, [1e-3, 0.0]):
        with pytest.raises(ValueError, match="must be positive"):
            tg.LIF(tau_mem=value)
