"""Parameters of a neuron: arrays that learn, shared by a layer, (), or one per neuron, (n,)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def _as_array(value: Any) -> Array:
    """Turn a number, list or array into an array of the current default float type."""
    return value if isinstance(value, jax.Array) else jnp.asarray(value, dtype=float)


class Positive(eqx.Module):
    r"""A positive quantity (a time constant, a threshold), learned as its logarithm.

    A step of the optimiser therefore changes it by a factor, and it can never become negative.
    The gradient a rule reports is $\partial L/\partial\log\tau=\tau\,\partial L/\partial\tau$.
    """

    log: Float[Array, "*shape"]

    def __init__(self, value: Any):
        """Store `log(value)`; every entry of `value` must be > 0, otherwise `ValueError`."""
        if np.any(np.asarray(value) <= 0):
            raise ValueError(
                f"A time constant or threshold must be positive, got {value}. Give it in SI units."
            )
        self.log = jnp.log(_as_array(value))

    @property
    def value(self) -> Float[Array, "*shape"]:
        """The quantity itself, in its own unit."""
        return jnp.exp(self.log)


def parameter(default: float) -> Any:
    """Declare a field of a neuron that is an array of any sign and learns."""
    return eqx.field(converter=_as_array, default=default)


def positive(default: float) -> Any:
    """Declare a field of a neuron that is a positive array and learns as its logarithm."""
    return eqx.field(
        converter=lambda value: value if isinstance(value, Positive) else Positive(value),
        default=default,
    )


def setting(default: Any) -> Any:
    """Declare a field of a neuron that is a fixed choice: never traced, never learned."""
    return eqx.field(static=True, default=default)


def decay(dt: float, tau: Positive) -> Float[Array, "*shape"]:
    r"""Decay of an exponential filter over one step, $e^{-\Delta t/\tau}$ (both in seconds)."""
    return jnp.exp(-dt / tau.value)
