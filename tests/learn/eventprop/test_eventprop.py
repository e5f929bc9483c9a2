"""EventProp: spike times against closed forms, gradients against finite differences."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import brentq

import tracegrad as tg
from tracegrad.learn.eventprop.flow import Cell, crossing

ep = tg.eventprop
DURATION, ROOM, LINES = 30e-3, 60, 3
LOOKS = jnp.array([9e-3, 18.3e-3])


def potential(tau_mem, tau_syn, v, i, t):
    """The double exponential as it stands in textbooks, and its limit for equal time constants."""
    if tau_mem == tau_syn:
        return (v + i * t / tau_mem) * np.exp(-t / tau_mem)
    c = i * tau_syn / (tau_mem - tau_syn)
    return (v + c) * np.exp(-t / tau_mem) - c * np.exp(-t / tau_syn)


@pytest.mark.parametrize("taus", [(20e-3, 10e-3), (20e-3, 5e-3), (5e-3, 12e-3), (8e-3, 8e-3)])
def test_crossings_are_roots_of_the_double_exponential(taus):
    rng = np.random.default_rng(0)
    v, i = rng.uniform(-2, 0.9, 100), rng.uniform(-1, 8, 100)
    cell = Cell(*(jnp.full(100, value) for value in (*taus, 0.9)))
    found = jax.jit(crossing)(cell, jnp.asarray(v), jnp.asarray(i))
    assert 20 < int(jnp.isfinite(found).sum()) < 80
    grid = np.linspace(0, 0.2, 20001)
    for v_0, i_0, t in zip(v, i, np.asarray(found), strict=True):
        above = np.flatnonzero(potential(*taus, v_0, i_0, grid) > 0.9)
        if not above.size:
            assert not np.isfinite(t)
            continue
        bracket = grid[above[0] - 1], grid[above[0]]
        root = brentq(lambda t, v=v_0, i=i_0: potential(*taus, v, i, t) - 0.9, *bracket, xtol=1e-16)
        assert t == pytest.approx(root, rel=1e-12)


@jax.jit
@jax.value_and_grad
def one_neuron(w):
    """First spike, and its derivative, of a neuron that gets one spike of weight `w` at 1 ms."""
    net = ep.EventNetwork(ep.EventLayer(w[None, None], tau_mem=20e-3, tau_syn=10e-3))
    record = ep.simulate(net, ep.Spikes(jnp.array([1e-3]), jnp.array([0])), DURATION, 20)
    return ep.first_spikes(record, net, silent=DURATION)[0]


def test_first_spike_and_its_derivative_in_closed_form_where_tau_mem_is_twice_tau_syn():
    def exact(w):  # w x (1 - x) = 1 with x = exp(-t/tau_mem), the larger root
        return 1e-3 - 20e-3 * jnp.log((1 + jnp.sqrt(1 - 4 / w)) / 2)

    for w in jnp.array([4.0001, 4.1, 6.0, 20.0]):
        (t, slope), (known, steep) = one_neuron(w), jax.value_and_grad(exact)(w)
        assert float(t) == pytest.approx(float(known), rel=1e-10)
        assert float(slope) == pytest.approx(float(steep), rel=1e-6)


def test_blind_to_a_spike_that_a_larger_weight_would_create():
    (silent, flat), (spiking, steep) = (
        one_neuron(jnp.array(3.999999)),
        one_neuron(jnp.array(4.000001)),
    )
    assert float(silent) == DURATION and float(flat) == 0.0
    assert float(spiking) < 0.016 and float(steep) < -1.0  # without bound towards the creation


def network(recurrent, hidden=5, outputs=3, **constants):
    rng = np.random.default_rng(3)

    def draw(mean, spread, n, m):
        return jnp.asarray(rng.normal(mean, spread, (n, m)))

    first, second = draw(2.0, 0.8, hidden, LINES), draw(0.7, 0.3, outputs, hidden)
    own = draw(-0.1, 0.5, hidden, hidden), draw(-0.3, 0.2, outputs, outputs)
    return ep.EventNetwork(
        ep.EventLayer(first, own[0] if recurrent else None, **constants),
        ep.EventLayer(second, own[1] if recurrent else None, 17e-3, 6e-3),
    )


def inputs():
    rng = np.random.default_rng(1)
    return ep.Spikes(jnp.asarray(rng.uniform(0, 20e-3, 9)), jnp.arange(9) % LINES)


def loss(parameters):
    """Uses everything that a record has, each part with weights of its own."""
    net, times, looks = parameters
    times = jnp.concatenate([times, jnp.array([jnp.inf])])  # and a place that is not used
    spikes = ep.Spikes(times, jnp.append(inputs().sources, 99))
    record = ep.simulate(net, spikes, DURATION, ROOM, looks)
    first = ep.first_spikes(record, net, silent=DURATION)
    spread = jnp.cos(jnp.arange(float(net.size)))
    every = jnp.where(jnp.isfinite(record.spikes.times), jnp.sin(300 * record.spikes.times), 0.0)
    value = (
        ep.latency_cross_entropy(first[net.span(-1)], jnp.array(1), tau=2e-3)
        + jnp.sum(every)
        + jnp.sum(record.v**2 @ spread)
        + 100 * record.integral @ spread
    )
    return value, record.spikes.sources


NETWORKS = [
    ("feed-forward, ratio 2", partial(network, False, tau_mem=20e-3, tau_syn=10e-3)),
    (
        "recurrent, neurons of their own",
        partial(
            network,
            True,
            tau_mem=(20e-3, 8e-3, 5e-3, 12e-3, 30e-3),
            tau_syn=(10e-3, 8e-3, 12e-3, 6e-3, 4e-3),
            v_threshold=(1.0, 0.8, 1.2, 1.0, 0.6),
        ),
    ),
]


@pytest.mark.parametrize("make", [make for _, make in NETWORKS], ids=[name for name, _ in NETWORKS])
def test_the_adjoint_equals_central_differences_in_every_entry(make):
    parameters = (make(), inputs().times, LOOKS)
    flat, rebuild = jax.flatten_util.ravel_pytree(parameters)
    step = 1e-5 * jnp.maximum(jnp.abs(flat), 1e-2)
    shifts = jnp.concatenate([jnp.zeros((1, flat.size)), jnp.diag(step), -jnp.diag(step)])

    @jax.jit
    @jax.vmap
    def run(shift):
        return jax.value_and_grad(loss, has_aux=True)(rebuild(flat + shift))

    (values, sources), gradients = run(shifts)
    counts = np.bincount(sources[0], minlength=9)[:8]
    assert np.all(counts[5:] > 0) and np.sum(counts[:5] > 1) >= 3  # outputs spike, hidden repeat
    assert np.all(sources == sources[:1])  # no spike came, went or changed places
    above, below = jnp.split(values[1:], 2)
    gradient = jax.tree.map(lambda rows: rows[0], gradients)
    differences = rebuild((above - below) / (2 * step))
    for ours, theirs in zip(jax.tree.leaves(gradient), jax.tree.leaves(differences), strict=True):
        assert jnp.any(theirs)
        assert float(jnp.max(jnp.abs(ours - theirs)) / jnp.max(jnp.abs(theirs))) < 1e-6


def test_looks_and_integral_describe_one_trajectory():
    net = network(True, tau_mem=20e-3, tau_syn=7e-3)
    at = jnp.linspace(0, DURATION, 2001)
    record = ep.simulate(net, inputs(), DURATION, ROOM, at)
    assert int(record.total) > 15 and float(record.v.max()) < 1.0 + 1e-9
    sums = np.trapezoid(record.v, at, axis=0)
    # The reset makes the rule of trapezoids wrong by up to half a step of 15 us for each spike.
    np.testing.assert_allclose(record.integral, sums, atol=7 * 7.5e-6)
    assert float(jnp.max(jnp.abs(record.integral))) > 5e-3


def cuba(**options):
    neuron = {"tau_mem": 20e-3, "tau_syn": 7e-3, "reset": tg.ZeroReset()} | options
    return tg.CubaLIF(**neuron)


def stepped(neuron, dt=1e-3, bias=False):
    hidden, own = (np.random.default_rng(5).normal(m, 0.8, (4, 4)) for m in (1.5, -0.1))
    return tg.Network(
        tg.Layer(
            tg.Dense.from_arrays(jnp.asarray(hidden[:, :LINES]), jnp.zeros(4) if bias else None),
            neuron,
            recurrent=tg.Dense.from_arrays(jnp.asarray(own)),
            autapses=False,
        ),
        readout=tg.Readout(4, 2),
        dt=dt,
    ).init(jax.random.key(0))


def test_the_network_in_small_steps_tends_to_the_event_network():
    """With steps of 10 us the first spikes come out to a few steps."""
    spikes, net = inputs(), stepped(cuba(), dt=1e-5)
    events = ep.from_network(net)
    assert float(jnp.max(jnp.abs(jnp.diag(events.layers[0].recurrent)))) == 0.0
    record = ep.simulate(events, spikes, 20e-3, ROOM)
    xs = np.zeros((2000, 1, LINES))
    np.add.at(xs, (np.round(spikes.times / 1e-5).astype(int), 0, np.asarray(spikes.sources)), 1.0)
    z = np.asarray(net(jnp.asarray(xs))[0][0][:, 0])
    assert z.sum() == int(record.total) > 5 and np.all(z.sum(axis=0) > 0)
    first = ep.first_spikes(record, events, silent=20e-3)
    np.testing.assert_allclose(np.argmax(z, axis=0) * 1e-5, first, atol=8e-5)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: stepped(tg.ALIF()), "derived for current-based LIF neurons, got ALIF. Use Cuba"),
        (lambda: stepped(cuba(reset=tg.SubtractReset())), "zero at a spike, got SubtractReset"),
        (lambda: stepped(cuba(normalised=False)), "got normalised=False. Use CubaLIF"),
        (lambda: stepped(cuba(), bias=True), "no constant current, got a connection with a bias"),
    ],
)
def test_a_network_without_an_event_based_limit_is_refused(net, message):
    with pytest.raises(ValueError, match=message):
        ep.from_network(net())


def test_wrong_networks_and_runs_are_refused():
    layer = ep.EventLayer(jnp.full((2, 3), 30.0))
    with pytest.raises(ValueError, match="tau_mem must be one positive number or 2 of them"):
        ep.EventLayer(jnp.ones((2, 3)), tau_mem=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="v_threshold must be one positive number"):
        ep.EventLayer(jnp.ones((2, 3)), v_threshold=0.0)
    with pytest.raises(ValueError, match="A layer of 2 neurons feeds one that expects 3 inputs"):
        ep.EventNetwork(layer, layer)
    with pytest.raises(ValueError, match="at least one layer"):
        ep.EventNetwork()
    net, spikes = ep.EventNetwork(layer), ep.Spikes(jnp.zeros(2), jnp.array([0, 1]))
    with pytest.raises(ValueError, match="positive duration and room for a spike"):
        ep.simulate(net, spikes, 0.0, 5)
    for wrong in (spikes._replace(sources=jnp.array([0, 3])), spikes._replace(times=-jnp.ones(2))):
        with pytest.raises(RuntimeError, match="times >= 0 and sources from 0 to 2"):
            ep.simulate(net, wrong, DURATION, 5)
    with pytest.raises(RuntimeError, match="more than max_spikes=3 times"):
        ep.simulate(net, spikes, DURATION, 3)


def yin_yang(samples):
    """Points in a circle: two halves that wind around one another, and their eyes."""
    rng, rows = np.random.RandomState(42), []
    while len(rows) < samples:
        x, y = rng.rand(2)
        left, right = np.hypot(x - 0.25, y - 0.5), np.hypot(x - 0.75, y - 0.5)
        yin = right <= 0.1 or 0.1 < left <= 0.25 or (y > 0.5 and right > 0.25)
        if np.hypot(x - 0.5, y - 0.5) <= 0.5:
            rows.append((x, y, 1 - x, 1 - y, 2 if min(left, right) < 0.1 else int(yin)))
    table = np.array(rows)
    times = np.concatenate([table[:, :4] * 20e-3, np.zeros((samples, 1))], axis=1)  # and a bias
    return jnp.asarray(times), jnp.asarray(table[:, 4].astype(int))


def test_yin_yang_is_learned_from_latencies():
    times, labels = yin_yang(60)
    rng = np.random.default_rng(0)
    net = ep.EventNetwork(
        ep.EventLayer(jnp.asarray(rng.normal(1.5, 0.8, (20, 5))), None, 20e-3, 5e-3),
        ep.EventLayer(jnp.asarray(rng.normal(0.5, 0.4, (3, 20))), None, 20e-3, 5e-3),
    )

    def sample_loss(net, times, label):
        record = ep.simulate(net, ep.Spikes(times, jnp.arange(5)), 40e-3, 200)
        first = ep.first_spikes(record, net, silent=40e-3)[net.span(-1)]
        return ep.latency_cross_entropy(first, label, tau=1e-3), jnp.argmin(first) == label

    def mean_loss(net):
        losses, right = jax.vmap(sample_loss, in_axes=(None, 0, 0))(net, times, labels)
        return jnp.mean(losses), jnp.mean(right.astype(float))

    optimiser = optax.adam(2e-2)

    @jax.jit
    def learn(net, state):
        (value, accuracy), gradient = jax.value_and_grad(mean_loss, has_aux=True)(net)
        with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
            change, state = optimiser.update(gradient, state)
        return eqx.apply_updates(net, change), state, value, accuracy

    state, history = optimiser.init(net), []
    for _ in range(30):
        net, state, value, accuracy = learn(net, state)
        history.append((float(value), float(accuracy)))
    assert history[-1][0] < 0.7 * history[0][0] and history[-1][1] > history[0][1]
