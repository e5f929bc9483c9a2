"""Shifts: whole-number arithmetic of chips that have no multiplier; every array is int32."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tracegrad.substrate.fixed import Fixed

CANDIDATES = 1.0 - 2.0 ** -np.arange(16.0)  # decays that are a shift and a subtraction


def add(a: Int[Array, "*n"], b: Int[Array, "*n"], format: Fixed) -> Int[Array, "*n"]:
    """A sum made to fit: one event arriving at an accumulator."""
    return format.fit(a + b)


def shift_decay(x: Int[Array, "*n"], shift: Int[Array, "*n"], least: int = 0) -> Int[Array, "*n"]:
    r"""Decay by a power of two, $x-(x\gg d)$, by at least `least` where $x$ is positive.

    The shift is arithmetic: it rounds down, so a negative value reaches 0 and, without `least`, a
    positive one stops below $2^d$. Stands for $\alpha=1-2^{-d}$. No multiplication.
    """
    taken = jax.lax.shift_right_arithmetic(x, shift)
    return x - jnp.where(x > 0, jnp.maximum(taken, least), taken)


def shift_of(decay: Float[Array, "*n"]) -> Int[Array, "*n"]:
    r"""The shift $d$, 0 to 15, whose $1-2^{-d}$ is nearest to a decay in $[0, 1)$."""
    candidates = jnp.asarray(CANDIDATES, decay.dtype).reshape(*[1] * decay.ndim, -1)
    distance = jnp.abs(decay[..., None] - candidates)
    return jnp.argmin(distance, axis=-1).astype(jnp.int32)
