"""Convolution, pooling and sparse connections: currents, transposes, forms, shapes, refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import random
from scipy.signal import correlate2d

import tracegrad as tg
from tracegrad.model.patches import Patches


@st.composite
def geometries(draw):
    """A map and windows that fit into it."""
    small = st.integers(1, 3)
    shape = (draw(small), draw(st.integers(2, 6)), draw(st.integers(2, 6)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    kernel = tuple(
        draw(st.integers(1, min(4, size + 2 * pad)))
        for size, pad in zip(shape[1:], padding, strict=True)
    )
    return shape, kernel, draw(st.tuples(small, small)), padding


def by_scipy(x, kernel, patches):
    """Every channel's correlation, added up, at every stride."""
    rows, columns = patches.padding
    padded = np.pad(x.reshape(patches.shape), ((0, 0), (rows, rows), (columns, columns)))
    sums = [
        sum(correlate2d(padded[i], k[i], mode="valid") for i in range(len(padded))) for k in kernel
    ]
    down, right = patches.stride
    return np.stack([s[::down, ::right] for s in sums])


@given(geometries(), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_a_convolution_is_scipys_correlation(geometry, channels, seed):
    shape, kernel, stride, padding = geometry
    conv = tg.Conv(shape, channels, kernel, stride, padding).init(random.key(seed))
    x = np.random.default_rng(seed).normal(size=(2, conv.inputs))
    weight = conv.maps()[0]
    for ours, one in zip(np.asarray(weight(jnp.asarray(x))), x, strict=True):
        expected = by_scipy(one, np.asarray(conv.weight), conv.patches)
        assert expected.shape == conv.out_shape
        np.testing.assert_allclose(ours, expected.ravel(), atol=1e-12)  # rounding of short sums
    np.testing.assert_allclose(weight(jnp.asarray(x)), x @ weight.matrix().T, atol=1e-12)
    lifted = jnp.asarray(np.random.default_rng(seed).normal(size=(2, conv.outputs)))
    np.testing.assert_allclose(weight.back(lifted), lifted @ weight.matrix(), atol=1e-12)


@given(geometries(), st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_pooling_is_the_mean_of_every_patch(geometry, seed):
    shape, kernel, stride, padding = geometry
    pool = tg.Pool(shape, kernel, stride, padding)
    x = np.random.default_rng(seed).normal(size=pool.inputs)
    ones = np.ones((1, *kernel)) / np.prod(kernel)
    alone = [by_scipy(m, ones[None], Patches((1, *shape[1:]), *pool.patches[1:])) for m in
             x.reshape(shape)]  # fmt: skip
    expected = np.concatenate(alone)
    assert expected.shape == pool.out_shape
    ours = pool.maps()[0]
    np.testing.assert_allclose(ours(jnp.asarray(x[None]))[0], expected.ravel(), atol=1e-12)
    np.testing.assert_allclose(ours.matrix() @ x, expected.ravel(), atol=1e-12)


@pytest.mark.parametrize("probability", [0.05, 0.5, 1.0])
def test_a_sparse_connection_has_its_synapses_and_no_other(probability):
    mask = np.random.default_rng(0).random((6, 9)) < probability
    mask[0, 0] = True
    sparse = tg.Sparse.from_mask(mask, bias=True).init(random.key(0))
    matrix = np.asarray(sparse.maps()[0].matrix())
    np.testing.assert_array_equal(matrix != 0, mask)
    x = np.random.default_rng(1).normal(size=(3, 9))
    np.testing.assert_allclose(sparse.maps()[0](jnp.asarray(x)), x @ matrix.T, atol=1e-12)


def test_a_fixed_fan_in_is_the_same_for_every_neuron_and_comes_from_its_seed():
    first, same, other = (tg.Sparse.fixed_fan_in(40, 8, 5, seed=s) for s in (1, 1, 2))
    assert first.places == same.places and hash(first.places) == hash(same.places)
    assert first.places != other.places
    index = first.places.index
    assert index.shape == (8, 5) and index.max() < 40
    assert all(len(set(row)) == 5 for row in index)


def test_weights_have_the_variance_of_their_fan_in():
    conv = tg.Conv((4, 8, 8), channels=64, kernel=3, gain=2.0).init(random.key(0))
    assert float(jnp.std(conv.weight)) == pytest.approx(2.0 / 36**0.5, rel=0.05)
    sparse = tg.Sparse.fixed_fan_in(100, 200, 25, gain=2.0).init(random.key(0))
    assert float(jnp.std(sparse.weight)) == pytest.approx(2.0 / 5.0, rel=0.05)


def test_a_bias_belongs_to_a_channel():
    conv = tg.Conv((1, 2, 2), channels=2, kernel=1, weight=jnp.ones((2, 1, 1, 1)),
                   bias=jnp.array([1.0, 2.0]), biased=True)  # fmt: skip
    np.testing.assert_array_equal(conv.biases()[0], [1, 1, 1, 1, 2, 2, 2, 2])


def test_a_neuron_of_several_ports_has_kernels_for_each():
    conv = tg.Conv((1, 3, 3), channels=2, kernel=2)
    net = tg.Network(tg.Layer(conv, tg.GRU()), readout=tg.Readout(8, 2), dt=1e-3)
    weight = net.init(random.key(0)).layers[0].input.weight
    assert weight.shape == (len(tg.GRU.feedforward_ports), 2, 1, 2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tg.Conv((2, 4, 4), 0, 3), "at least 1 output channel"),
        (lambda: tg.Conv((2, 4, 0), 1, 3), "shape must be"),
        (lambda: tg.Conv((2, 4, 4), 1, 5), "does not fit"),
        (lambda: tg.Conv((2, 4, 4), 1, 3, stride=0), "at least 1"),
        (lambda: tg.Pool((2, 4, 4), 5), "does not fit"),
        (lambda: tg.Conv((1, 4, 4), 1, 3, weight=jnp.ones((1, 1, 2, 2))), "weight must have shape"),
        (lambda: tg.Conv((1, 4, 4), 1, 3, bias=jnp.ones(1)), "biased=True"),
        (lambda: tg.Sparse.fixed_fan_in(3, 2, 4), "1 to 3 synapses"),
        (lambda: tg.Sparse.random(3, 2, 0.0), "probability must"),
        (lambda: tg.Sparse.from_mask(np.zeros((2, 3), bool)), "leaves no synapse"),
        (
            lambda: tg.Layer(tg.Conv((1, 4, 4), 1, 3, weight=jnp.ones((1, 1, 3, 3))), tg.GRU()),
            "leading axis",
        ),
        (lambda: tg.Conv((1, 4, 4), 1, 3).maps(), "call network.init"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
