"""Convolution, pooling and sparse connections: currents, transposes, forms, shapes, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import random
from scipy.signal import correlate2d

import tracegrad as tg
from tracegrad.model.linear_map import FanIn
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


@jax.jit
def evaluated(weight, x, lifted):
    """The map, its matrix and its way back, compiled at once."""
    return weight(x), weight.matrix(), weight.back(lifted)


def compared(connection, expected, seed):
    """A map beside what SciPy says of each sample, and beside its own matrix both ways."""
    rng = np.random.default_rng(seed)
    x, lifted = rng.normal(size=(2, connection.inputs)), rng.normal(size=(2, connection.outputs))
    there, matrix, back = evaluated(connection.maps()[0], jnp.asarray(x), jnp.asarray(lifted))
    for ours, one in zip(np.asarray(there), x, strict=True):
        theirs = expected(one)
        assert theirs.shape == connection.out_shape
        np.testing.assert_allclose(ours, theirs.ravel(), atol=1e-12)  # rounding of short sums
    np.testing.assert_allclose(there, x @ np.asarray(matrix).T, atol=1e-12)
    np.testing.assert_allclose(back, lifted @ np.asarray(matrix), atol=1e-12)


@given(geometries(), st.integers(1, 3), st.integers(0, 99))
@example(((2, 5, 6), (3, 2), (2, 1), (1, 0)), 3, 0)  # rows and columns differ in everything
@settings(max_examples=6, deadline=None)
def test_a_convolution_is_scipys_correlation(geometry, channels, seed):
    shape, kernel, stride, padding = geometry
    weight = np.random.default_rng(seed).normal(size=(channels, shape[0], *kernel))
    conv = tg.Conv(shape, channels, kernel, stride, padding, weight=jnp.asarray(weight))
    compared(conv, lambda x: by_scipy(x, weight, conv.patches), seed)


@given(geometries(), st.integers(0, 99))
@example(((2, 5, 6), (2, 3), (1, 2), (1, 0)), 0)
@settings(max_examples=5, deadline=None)
def test_pooling_is_the_mean_of_every_patch(geometry, seed):
    shape, kernel, stride, padding = geometry
    pool = tg.Pool(shape, kernel, stride, padding)
    mean = np.ones((1, 1, *kernel)) / np.prod(kernel)
    alone = Patches((1, *shape[1:]), *pool.patches[1:])
    compared(
        pool,
        lambda x: np.concatenate([by_scipy(m, mean, alone) for m in x.reshape(shape)]),
        seed,
    )


@pytest.mark.parametrize("probability", [0.05, 0.5, 1.0])
def test_a_sparse_connection_has_its_synapses_and_no_other(probability):
    mask = np.random.default_rng(0).random((6, 9)) < probability
    mask[0, 0] = True
    sparse = tg.Sparse.from_mask(mask, bias=True).init(random.key(0))
    matrix = np.asarray(sparse.maps()[0].matrix())
    np.testing.assert_array_equal(matrix != 0, mask)
    x = np.random.default_rng(1).normal(size=(3, 9))
    np.testing.assert_allclose(sparse.maps()[0](jnp.asarray(x)), x @ matrix.T, atol=1e-12)


def test_lists_of_synapses_see_what_the_matrix_sees():
    """Of neurons with fewer synapses than others too; a place that is no line sees nothing."""
    rng = np.random.default_rng(0)
    mask = rng.random((6, 9)) < 0.4
    mask[2] = False
    places = tg.Sparse.from_mask(mask).places
    fan_in = FanIn(jnp.asarray(rng.normal(size=places.index.shape)), places, 9)
    x, c = rng.normal(size=(3, 2, 9)), rng.normal(size=(3, 2, 6))
    own = np.minimum(places.index, 8), places.index < 9
    seen = np.where(own[1], x[..., own[0]], 0.0)
    np.testing.assert_array_equal(fan_in.spread(jnp.asarray(x)), seen)
    of_sample = np.einsum("tbn,tbnk->bnk", c, seen)
    np.testing.assert_allclose(fan_in.traced(*map(jnp.asarray, (c, x))), of_sample, atol=1e-12)
    whole = fan_in.gradient(*map(jnp.asarray, (c, x)))
    np.testing.assert_allclose(whole, of_sample.sum(0), atol=1e-12)


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
                   bias=jnp.array([1.0, 2.0]))  # fmt: skip
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
        (lambda: tg.Conv((1, 4, 4), 1, 3, bias=jnp.ones(2)), "bias must have shape"),
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
