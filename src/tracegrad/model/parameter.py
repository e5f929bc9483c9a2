"""Parameters of a neuron: arrays that learn, shared by a layer, (), or one per neuron, (n,)."""

from collections.abc import Callable
from math import isfinite
from numbers import Integral, Real
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float


def _as_array(value: Any) -> Array:
    """Turn a number, list or array into an array of the current default float type."""
    if isinstance(value, Real):
        value = number("A parameter", value)
    if np.iscomplexobj(value):
        raise TypeError(f"A parameter must be real, got {value}.")
    array = value if isinstance(value, jax.Array) else jnp.asarray(value, dtype=float)
    if not isinstance(array, Tracer) and not (array.size and np.isfinite(array).all()):
        raise ValueError(f"A parameter must be a finite number, or one per neuron, got {value}.")
    return array


def number(name: str, value: Any) -> float:
    """A finite real number as it is meant; `ValueError` or `TypeError` names what it was to be."""
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r:.60}.")
    try:
        found = float(value)
    except OverflowError:
        found = float("inf")
    if not isfinite(found):
        raise ValueError(f"{name} must be a finite number, got {value!r:.60}.")
    return found


def count(name: str, value: Any) -> int:
    """A whole number of 32 bits; `ValueError` or `TypeError` names what it was to be."""
    if not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r:.60}.")
    if abs(int(value)) >= 1 << 31:
        raise ValueError(f"{name} must be a whole number below 2^31, got {value!r:.60}.")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """True or False; `TypeError` names what it was to be."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r:.60}.")
    return bool(value)


class Positive(eqx.Module):
    r"""A positive quantity (a time constant, a threshold), learned as its logarithm.

    A step of the optimiser therefore changes it by a factor, and it can never become negative.
    The gradient a rule reports is $\partial L/\partial\log\tau=\tau\,\partial L/\partial\tau$.
    """

    log: Float[Array, "*shape"]

    def __init__(self, value: Any):
        """Store `log(value)`; every entry of `value` must be > 0, otherwise `ValueError`."""
        array = _as_array(value)
        if not np.all(np.asarray(array) > 0):
            raise ValueError(
                f"A time constant or threshold must be positive, got {value}. Give it in SI units."
            )
        self.log = jnp.log(array)

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
    """Declare a field that is a fixed choice: never traced, never learned.

    In place of a number must stand a finite one, of a whole one a whole one, or a tuple of such, of
    a truth value a truth value.
    """
    converter = fixed(default)
    if converter is None:
        return eqx.field(static=True, default=default)
    return eqx.field(static=True, default=default, converter=converter)


def fixed(default: Any) -> Callable[[Any], Any] | None:
    """The check of a fixed choice whose default is a number or a truth value; None for others."""
    kinds: dict[type, Callable[[str, Any], Any]] = {float: number, int: count, bool: flag}
    if (check := kinds.get(type(default))) is None:
        return None
    name = f"A setting such as {default}"

    def checked(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(check(name, part) for part in value)
        return check(name, value)

    return checked


def decay(dt: float, tau: Positive) -> Float[Array, "*shape"]:
    r"""Decay of an exponential filter over one step, $e^{-\Delta t/\tau}$ (both in seconds)."""
    return jnp.exp(-dt / tau.value)
