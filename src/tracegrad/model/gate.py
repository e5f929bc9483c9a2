"""Gate: the logistic function of the gated cells."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def gate(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""Logistic function $\sigma(x)=\tfrac12(1+\tanh\tfrac x2)$, which overflows nowhere."""
    return 0.5 * (1.0 + jnp.tanh(0.5 * x))
