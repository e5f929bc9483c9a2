"""Networks: timing of spikes, shapes, initial weights, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import tracegrad as tg


def _identity(n, **options):
    return tg.Dense.from_arrays(jnp.eye(n), **options)


def test_spikes_pass_down_the_stack_in_the_same_step_and_recurrence_takes_one():
    """A pulse through two layers: both fire at once, and the echo comes a step later."""
    neuron = tg.LIF(tau_mem=1e-9)  # forgets at once: fires when its current exceeds 1
    back = tg.Dense.from_arrays(jnp.array([[0.0, 0.0], [2.0, 0.0]]))
    first = tg.Layer(tg.Dense.from_arrays(2.0 * jnp.eye(2)), neuron, recurrent=back)
    second = tg.Layer(tg.Dense.from_arrays(2.0 * jnp.eye(2)), neuron)
    readout = tg.Readout(4, 1, tau=None, all_layers=True)
    net = tg.Network(first, second, readout=readout, dt=1e-3).init(random.key(0))
    xs = jnp.zeros((4, 1, 2)).at[1, 0, 0].set(1.0)
    (z1, z2, y), _ = net(xs)
    assert z1[:, 0].tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
    assert z2[:, 0].tolist() == z1[:, 0].tolist()
    read = jnp.concatenate([z1, z2], axis=-1) @ net.readout.input.weight.T
    np.testing.assert_allclose(y, read)


def test_leaky_readout_is_an_exponential_filter():
    net = tg.Network(
        tg.Layer(_identity(1), tg.LI(tau_mem=1e-9)), readout=tg.Readout(1, 1, tau=5e-3), dt=1e-3
    ).init(random.key(0))
    xs = jnp.zeros((6, 1, 1)).at[0].set(1.0)
    outputs, _ = net(xs)
    kappa = np.exp(-1 / 5)
    expected = (1 - kappa) * kappa ** np.arange(6) * float(net.readout.input.weight[0, 0])
    np.testing.assert_allclose(outputs[-1][:, 0, 0], expected, rtol=1e-12)


def test_time_constants_are_shared_or_one_per_neuron():
    taus = jnp.array([5e-3, 10e-3, 20e-3])
    layer = tg.Layer(tg.Dense(2, 3), tg.LIF(tau_mem=taus)).input
    net = tg.Network(tg.Layer(layer, tg.LIF(tau_mem=taus)), readout=tg.Readout(3, 1), dt=1e-3).init(
        random.key(0)
    )
    stage = net.discretise().stages[0]
    np.testing.assert_allclose(stage.coefficients["alpha"], np.exp(-1e-3 / taus))
    wrong = tg.Network(
        tg.Layer(tg.Dense(2, 4), tg.LIF(tau_mem=taus)), readout=tg.Readout(4, 1), dt=1e-3
    ).init(random.key(0))
    with pytest.raises(ValueError, match=r"one per neuron \(shape \(4,\)\)"):
        wrong.discretise()


def test_state_carries_over_between_calls():
    net = tg.Network(
        tg.Layer(tg.Dense(3, 5, gain=4.0), tg.CubaLIF(), recurrent=tg.Dense(5, 5)),
        readout=tg.Readout(5, 2),
        dt=1e-3,
    ).init(random.key(0))
    xs = random.bernoulli(random.key(1), 0.4, (20, 2, 3)).astype(float)
    whole, end = net(xs)
    first, state = net(xs[:8])
    second, again = net(xs[8:], state)
    assert float(jnp.sum(whole[0])) > 0
    for a, b, c in zip(first, second, whole, strict=True):
        np.testing.assert_allclose(jnp.concatenate([a, b]), c, rtol=1e-12)
    jax.tree.map(np.testing.assert_array_equal, end, again)


def test_initial_weights_have_the_stated_scale_and_given_ones_stay():
    net = tg.Network(
        tg.Layer(tg.Dense(400, 300, gain=2.0, bias=True), tg.LIF(), recurrent=_identity(300)),
        readout=tg.Readout(300, 10),
        dt=1e-3,
    ).init(random.key(0))
    layer = net.layers[0]
    assert float(jnp.std(layer.input.weight)) == pytest.approx(2.0 / 20, rel=0.02)
    assert jnp.array_equal(layer.input.bias, jnp.zeros(300))
    assert jnp.array_equal(layer.recurrent.weight, jnp.eye(300))
    again = net.init(random.key(9))
    assert jnp.array_equal(again.layers[0].input.weight, layer.input.weight)


def test_names_of_parameters():
    net = tg.Network(
        tg.Layer(tg.Dense(2, 3, bias=True), tg.LIF(), recurrent=tg.Dense(3, 3)),
        readout=tg.Readout(3, 1),
        dt=1e-3,
    ).init(random.key(0))
    assert jax.tree.leaves(net.names()) == [
        "layers.0.input.weight",
        "layers.0.input.bias",
        "layers.0.neuron.tau_mem",
        "layers.0.neuron.v_threshold",
        "layers.0.recurrent.weight",
        "readout.input.weight",
        "readout.neuron.tau_mem",
    ]
    learning = dict(
        zip(
            jax.tree.leaves(net.names()),
            jax.tree.leaves(net.freeze("*.neuron.*").learning()),
            strict=True,
        )
    )
    assert [n for n, learns in learning.items() if not learns] == [
        "layers.0.neuron.tau_mem",
        "layers.0.neuron.v_threshold",
        "readout.neuron.tau_mem",
    ]


def test_ports_are_a_leading_axis_of_one_named_parameter():
    net = tg.Network(
        tg.Layer(tg.Dense(2, 3, bias=True), tg.LSTM(), recurrent=tg.Dense(3, 3)),
        tg.Layer(tg.Dense(3, 5), tg.TwoCompartment(), recurrent=tg.Dense(5, 5)),
        readout=tg.Readout(5, 1, tau=None),
        dt=1e-3,
    ).init(random.key(0))
    shapes = dict(
        zip(jax.tree.leaves(net.names()), (a.shape for a in jax.tree.leaves(net)), strict=True)
    )
    assert shapes["layers.0.input.weight"] == (4, 3, 2)
    assert shapes["layers.0.input.bias"] == (4, 3)
    assert shapes["layers.0.recurrent.weight"] == (4, 3, 3)
    assert shapes["layers.1.input.weight"] == (5, 3)  # each connection has one port of two
    assert shapes["layers.1.recurrent.weight"] == (5, 5)
    learning = jax.tree.leaves(net.freeze("*.bias", "*.forget_bias").learning())
    fixed = [name for name, learns in zip(shapes, learning, strict=True) if not learns]
    assert fixed == ["layers.0.input.bias", "layers.0.neuron.forget_bias"]


def test_refusals(as_user):
    layer = tg.Layer(tg.Dense(2, 3), tg.LIF())
    with pytest.raises(ValueError, match="needs at least one layer"):
        tg.Network(readout=tg.Readout(3, 1), dt=1e-3)
    with pytest.raises(ValueError, match="dt must be a positive number"):
        tg.Network(layer, readout=tg.Readout(3, 1), dt=0.0)
    with pytest.raises(ValueError, match="A layer of 3 neurons feeds one that expects 2 inputs"):
        tg.Network(layer, layer, readout=tg.Readout(3, 1), dt=1e-3)
    with pytest.raises(ValueError, match="readout must read 3 neurons, got 4"):
        tg.Network(layer, readout=tg.Readout(4, 1), dt=1e-3)
    with pytest.raises(ValueError, match=r"must be Dense\(3, 3\), got Dense\(2, 3\)"):
        tg.Layer(tg.Dense(2, 3), tg.LIF(), recurrent=tg.Dense(2, 3))
    with pytest.raises(ValueError, match="A recurrent connection has no bias"):
        tg.Layer(tg.Dense(2, 3), tg.LIF(), recurrent=tg.Dense(3, 3, bias=True))
    with pytest.raises(ValueError, match="LRU takes no recurrent current, got a recurrent"):
        tg.Layer(tg.Dense(2, 3), tg.LRU(), recurrent=tg.Dense(3, 3))
    with pytest.raises(ValueError, match="must have a leading axis of 3 ports, got shape"):
        tg.Layer(tg.Dense.from_arrays(jnp.zeros((3, 2))), tg.GRU())
    with pytest.raises(ValueError, match="at least one line on each side"):
        tg.Dense(0, 3)
    with pytest.raises(ValueError, match="The row index is postsynaptic"):
        tg.Dense.from_arrays(jnp.zeros((2, 3)), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"no weights yet: call network\.init"):
        tg.Network(layer, readout=tg.Readout(3, 1), dt=1e-3).discretise()
