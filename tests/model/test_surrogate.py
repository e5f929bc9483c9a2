"""Surrogates: spikes forward, and the peak, width and area that their docstrings state."""

import jax
import jax.numpy as jnp
import pytest

import tracegrad as tg

# surrogate, peak, half width at half maximum
SHAPES = [
    (tg.SuperSpike(25.0), 1.0, (2**0.5 - 1) / 25),
    (tg.Triangle(0.3), 0.3, 0.5),
    (tg.Sigmoid(4.0), 1.0, 1.762747 / 4),
    (tg.Arctan(2.0), 1.0, 2 / (jnp.pi * 2)),
    (tg.Boxcar(0.8, 0.25), 0.8, 0.25),
]
each = pytest.mark.parametrize(
    "surrogate, peak, half_width", SHAPES, ids=[type(s[0]).__name__ for s in SHAPES]
)


@each
def test_peak_and_half_width(surrogate, peak, half_width):
    slope = jax.vmap(jax.grad(surrogate))
    x = jnp.array([0.0, 0.999 * half_width, 1.001 * half_width, -0.999 * half_width])
    at_peak, inside, outside, left = slope(x)
    assert float(at_peak) == pytest.approx(peak)
    assert float(inside) > peak / 2 > float(outside)
    assert float(left) == pytest.approx(float(inside)), "symmetric"


@pytest.mark.parametrize("surrogate", [*(s[0] for s in SHAPES), tg.StraightThrough()])
def test_spikes_are_zero_or_one_and_strict(surrogate):
    z = surrogate(jnp.array([-1.0, -1e-12, 0.0, 1e-12, 1.0]))
    assert z.tolist() == [0, 0, 0, 1, 1]
    assert surrogate(jnp.float32(0.3)).dtype == jnp.float32


def test_straight_through_and_supports():
    x = jnp.array([-5.0, -0.99, 0.0, 0.99, 5.0])
    assert jax.vmap(jax.grad(tg.StraightThrough()))(x).tolist() == [1] * 5
    assert (jax.vmap(jax.grad(tg.Triangle()))(x) > 0).tolist() == [False, True, True, True, False]
    assert jnp.all(jax.vmap(jax.grad(tg.SuperSpike()))(x) > 0)


def test_equal_settings_are_equal_so_that_nothing_recompiles():
    assert tg.SuperSpike(25.0) == tg.SuperSpike(25.0)
    assert hash(tg.SuperSpike(25.0)) == hash(tg.SuperSpike(25.0))
    assert jax.tree.structure(tg.SuperSpike(25.0)) != jax.tree.structure(tg.SuperSpike(20.0))
