"""Every neuron against its equations, written out step by step with plain numbers."""

import cmath
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.model import NEURONS
from tracegrad.model.neuron import check_neuron, ports, seen_current

DT = 1e-3
CURRENTS = (0.9, 0.0, 1.4, 0.2, 0.0, 2.5, 0.3, 0.0, 0.0, 1.9)


def simulate(neuron, currents=CURRENTS):
    """States and outputs of one neuron, as lists of numbers."""
    c = neuron.coefficients(DT)
    s, z = neuron.init(c), jnp.zeros(())
    states, outputs = [], []
    for current in currents:
        s = neuron.step(c, s, z, jax.tree.map(jnp.asarray, current))
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
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "IF"])
def test_a_reset_before_the_leak(reset, kind):
    ours, apply = reset
    a, b, theta = math.exp(-1 / 5), 1.0 if kind == "IF" else math.exp(-1 / 10), 1.0

    def step(s, z, current):
        s = s or {"i_syn": 0.0, "v": 0.0}
        i_syn = a * s["i_syn"] + current
        new = (1 - b) * i_syn if kind == "CubaLIF" else current
        s = {"i_syn": i_syn, "v": b * apply(s["v"], z, theta) + new}
        return {k: s[k] for k in (s if kind == "CubaLIF" else ("v",))}, float(s["v"] > theta)

    made = {
        "LIF": lambda: tg.LIF(tau_mem=10e-3, reset=ours, reset_first=True),
        "CubaLIF": lambda: tg.CubaLIF(
            tau_mem=10e-3, tau_syn=5e-3, v_threshold=theta, reset=ours, reset_first=True
        ),
        "IF": lambda: tg.IF(reset=ours),
    }[kind]()
    currents = tuple(8 * i for i in CURRENTS) if kind == "CubaLIF" else CURRENTS
    expected = follow(lambda s, z, i: step({"i_syn": 0.0} | s if s else s, z, i), currents)
    assert 0 < sum(expected[1]) < len(CURRENTS)
    same(simulate(made, currents), expected)


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


@pytest.mark.parametrize("normalised", [False, True])
def test_adex(normalised):
    a, rho, delta, theta, v_reset = math.exp(-1 / 20), math.exp(-1 / 50), 0.2, 1.5, 0.1
    coupling, jump, gain = 0.3, 0.4, 1 - a if normalised else 1.0

    def step(s, z, current):
        v, w = (s["v"], s["w"]) if s else (0.0, 0.0)
        if z:
            v, w = v_reset, w + jump
        upstroke = delta * math.exp((v - 1) / delta)
        after = a * v + (1 - a) * (upstroke - w) + gain * current
        return {"v": after, "w": rho * w + (1 - rho) * coupling * v}, float(after > theta)

    neuron = tg.AdEx(20e-3, 50e-3, delta, theta, v_reset, coupling, jump, normalised=normalised)
    currents = tuple((30 if normalised else 1) * i for i in CURRENTS)
    expected = follow(step, currents)
    assert 0 < sum(expected[1]) < len(CURRENTS)
    same(simulate(neuron, currents), expected)


def test_adex_stays_finite_under_any_current_and_refuses_what_would_overflow():
    huge = simulate(tg.AdEx(), (1e6, -1e6, 1e6, 1e6, 1e6, 0.0, -1e6, 1e6))
    assert all(math.isfinite(v) for state in huge[0] for v in state.values())
    assert sum(huge[1]) > 2
    with pytest.raises(ValueError, match=r"would reach e\^500 and must stay below e\^80"):
        tg.AdEx(slope_factor=1e-3)
    for kind in (tg.AdEx, tg.Izhikevich):
        with pytest.raises(ValueError, match=r"got SubtractReset\. Use ZeroReset\(\)"):
            kind(reset=tg.SubtractReset())


def test_izhikevich_defaults_are_the_published_neuron_in_millivolt():
    """V = 15 v - 70, U = 9 u - 14; two half steps for V, as published."""

    def published(s, z, current):
        v, u = (15 * s["v"] - 70, 9 * s["u"] - 14) if s else (-70.0, -14.0)
        if z:
            v, u = -65.0, u + 8.0
        for _ in range(2):
            v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + 9 * current)
        u += 0.02 * (0.2 * v - u)
        return {"v": (v + 70) / 15, "u": (u + 14) / 9}, float(v > 30)

    expected = follow(published, 3 * CURRENTS)
    assert 0 < sum(expected[1]) < len(CURRENTS)
    ours = simulate(tg.Izhikevich(), 3 * CURRENTS)
    assert ours[1] == expected[1]
    for a, b in zip(ours[0], expected[0], strict=True):
        assert a == pytest.approx(b, rel=1e-9)  # other units round otherwise


def test_izhikevich_defaults_spike_regularly_under_a_steady_current():
    """The regular-spiking cell above rheobase; steps of 1 ms cut the upstroke at other places."""
    neuron = tg.Izhikevich()
    c = neuron.coefficients(DT)

    def body(carry, _):
        s = neuron.step(c, *carry, jnp.asarray(1.1))  # 10 in the published units
        z = neuron.output(c, s)
        return (s, z), z

    _, z = jax.lax.scan(body, (neuron.init(c), jnp.zeros(())), length=500)
    intervals = np.diff(np.flatnonzero(np.asarray(z)))
    assert len(intervals) > 5 and 40 < intervals.mean() < 60
    assert np.ptp(intervals[1:]) < 0.2 * intervals.mean()


def test_resonate_and_fire_is_the_balanced_neuron():
    """With the paper's delta = 0.01, a unit of time of 0.1 s and our step of 1 ms agree."""
    delta, omega, offset, gamma = 0.01, 8.0, 2.5, 0.9

    def step(s, z, current):
        s = s or {"u_re": 0.0, "u_im": 0.0, "q": 0.0}
        u, q = complex(s["u_re"], s["u_im"]), gamma * s["q"] + z
        b = (-1 + math.sqrt(1 - (delta * omega) ** 2)) / delta - offset - q
        u = u + delta * (b + 1j * omega) * u + current
        return {"u_re": u.real, "u_im": u.imag, "q": q}, float(u.real > 1.0 + q)

    neuron = tg.ResonateAndFire(
        omega=80.0, tau_mem=1 / 25, tau_reset=0.1, tau_adapt=-1e-3 / math.log(0.9)
    )
    expected = follow(step)
    assert 0 < sum(expected[1]) < len(CURRENTS)
    same(simulate(neuron), expected)


def test_resonate_and_fire_neither_grows_nor_shrinks_at_the_divergence_boundary():
    neuron = tg.ResonateAndFire(omega=300.0, tau_mem=1e12, v_threshold=10.0)
    states, _ = simulate(neuron, (1.0, *[0.0] * 50))
    size = [math.hypot(s["u_re"], s["u_im"]) for s in states]
    assert size == pytest.approx([1.0] * 51, rel=1e-9)
    assert min(s["u_re"] for s in states) < -0.9, "it must turn"
    with pytest.raises(ValueError, match=r"omega must be below 1/dt = 1000 rad/s, got up to 1500"):
        check_neuron(tg.ResonateAndFire(omega=[10.0, 1500.0]), DT)


def test_two_compartments():
    a, rho, to_soma, to_dendrite = math.exp(-1 / 10), math.exp(-1 / 20), 0.7, 0.4

    def step(s, z, current):
        v, d = (s["v"], s["v_dendrite"]) if s else (0.0, 0.0)
        d = rho * d + (1 - rho) * to_dendrite * (v - d) + current["dendrite"]
        v = a * v + (1 - a) * to_soma * (d - v) + current["soma"] - z
        return {"v": v, "v_dendrite": d}, float(v > 1.0)

    currents = [
        {"dendrite": 2 * i, "soma": 0.5 * j}
        for i, j in zip(CURRENTS, reversed(CURRENTS), strict=True)
    ]
    expected = follow(step, currents)
    assert 0 < sum(expected[1]) < len(currents)
    same(simulate(tg.TwoCompartment(10e-3, 20e-3, to_soma, to_dendrite), currents), expected)


def _gate(x):
    return 1 / (1 + math.exp(-x))


def test_gru_and_lstm_are_the_cells_of_the_textbooks():
    def gru(s, z, i):
        h = s["h"] if s else 0.0
        r, u = _gate(i["r"]), _gate(i["u"])
        h = (1 - u) * math.tanh(i["n"] + r * (i["m"] + 0.3)) + u * h
        return {"h": h}, h

    def lstm(s, z, i):
        c = s["cell"] if s else 0.0
        c = _gate(i["f"] + 1.0) * c + _gate(i["i"]) * math.tanh(i["g"])
        h = _gate(i["o"]) * math.tanh(c)
        return {"cell": c, "h": h}, h

    def currents(ports):
        return [
            {p: CURRENTS[(k * t + t) % 10] - 0.8 for k, p in enumerate(ports)} for t in range(9)
        ]

    four = currents("runm")
    same(simulate(tg.GRU(candidate_bias=0.3), four), follow(gru, four))
    four = currents("ifgo")
    same(simulate(tg.LSTM(), four), follow(lstm, four))


def test_gru_layer_is_the_matrix_form_with_the_reset_gate_after_the_product():
    """Ports, biases and the one-step delay of a whole layer, against NumPy."""
    n, m, steps = 3, 2, 6
    rng = np.random.default_rng(0)
    w, v = rng.normal(size=(3, n, m)), rng.normal(size=(3, n, n))
    bias, b_m, xs = rng.normal(size=(3, n)), rng.normal(size=n), rng.normal(size=(steps, m))
    layer = tg.Layer(
        tg.Dense.from_arrays(jnp.asarray(w), jnp.asarray(bias)),
        tg.GRU(candidate_bias=jnp.asarray(b_m)),
        recurrent=tg.Dense.from_arrays(jnp.asarray(v)),
        autapses=False,
    )
    net = tg.Network(layer, readout=tg.Readout(n, 1), dt=DT).init(jax.random.key(0))
    (ours, _), _ = net(jnp.asarray(xs)[:, None])
    v = v * (1 - np.eye(n))  # no neuron hears itself, in any port
    h = np.zeros(n)
    for x, got in zip(xs, ours[:, 0], strict=True):
        r = 1 / (1 + np.exp(-(w[0] @ x + bias[0] + v[0] @ h)))
        u = 1 / (1 + np.exp(-(w[1] @ x + bias[1] + v[1] @ h)))
        h = (1 - u) * np.tanh(w[2] @ x + bias[2] + r * (v[2] @ h + b_m)) + u * h
        np.testing.assert_allclose(got, h, rtol=1e-12)


def test_lru_is_a_normalised_complex_integrator():
    modulus, theta = math.exp(-1 / 20), 0.3

    def step(s, z, current):
        x = complex(s["x_re"], s["x_im"]) if s else 0j
        gain = math.sqrt(1 - modulus**2)
        x = modulus * cmath.exp(1j * theta) * x + gain * complex(current["re"], current["im"])
        return {"x_re": x.real, "x_im": x.imag}, 0.7 * x.real - 0.4 * x.imag

    currents = [
        {"re": i, "im": -0.5 * j} for i, j in zip(CURRENTS, reversed(CURRENTS), strict=True)
    ]
    same(simulate(tg.LRU(20e-3, 300.0, 0.7, -0.4), currents), follow(step, currents))


def test_lru_ring_has_the_stated_moduli_and_phases():
    unit = tg.LRU.ring(jax.random.key(0), 2000, DT, radius=(0.6, 0.9), phase=1.0)
    c = unit.coefficients(DT)
    modulus, theta = jnp.hypot(c["re"], c["im"]), jnp.arctan2(c["im"], c["re"])
    assert 0.6 < float(modulus.min()) < 0.61 and 0.89 < float(modulus.max()) < 0.9
    assert float(jnp.mean(modulus**2)) == pytest.approx((0.36 + 0.81) / 2, rel=0.02)
    assert 0 < float(theta.min()) and float(theta.max()) <= 1.0
    assert float(theta.mean()) == pytest.approx(0.5, rel=0.05)
    with pytest.raises(ValueError, match="A radius of 1 never forgets"):
        tg.LRU.ring(jax.random.key(0), 3, DT, radius=(0.5, 1.0))


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

    def seen(value):
        return seen_current(neuron, {port: jnp.asarray(value) for port in ports(neuron)})

    after = neuron.step(c, state, jnp.zeros(()), seen(1.0))
    assert set(after) == set(state)
    assert all(v.shape == () and v.dtype == jnp.float64 for v in after.values())
    slopes = jax.grad(lambda i: neuron.output(c, neuron.step(c, state, jnp.zeros(()), i)))(
        seen(0.5)
    )
    reaching = [float(slope) != 0.0 for slope in jax.tree.leaves(slopes)]
    # A dendrite, an imaginary part and a gate act through a second state or a second current.
    assert any(reaching), "the current must reach the output"


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
