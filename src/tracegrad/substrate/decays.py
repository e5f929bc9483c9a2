"""Decays: the factors of exponential filters, as a substrate has them."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.model.neuron import AbstractNeuron
from tracegrad.model.parameter import setting
from tracegrad.substrate.number import Number
from tracegrad.substrate.shift import CANDIDATES, shift_of


class AbstractDecays(eqx.Module):
    """The decay that stands for a wished one."""

    @abstractmethod
    def __call__(self, decay: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """The decay there is."""


class HeldDecays(AbstractDecays):
    """Decays in a fixed-point format."""

    number: Number = setting(Number())

    def __call__(self, decay: Array) -> Array:
        """See the class."""
        return self.number(decay)


class ShiftDecays(AbstractDecays):
    r"""The nearest $1-2^{-d}$, $d$ from 0 to 15: a shift in place of a product."""

    def __call__(self, decay: Array) -> Array:
        """See the class."""
        return jnp.asarray(CANDIDATES, decay.dtype)[shift_of(decay)]


def decays_of(neuron: AbstractNeuron, dt: float) -> frozenset[str]:
    """The coefficients that are decays: they fall with a longer step, and lie between 0 and 1."""
    with jax.ensure_compile_time_eval():
        probe = jax.tree.map(lambda a: jnp.full(a.shape, -3.0, a.dtype), neuron)
        short, long = probe.coefficients(dt), probe.coefficients(2 * dt)
        return frozenset(
            name
            for name in short
            if bool(jnp.all((long[name] < short[name]) & (long[name] >= 0) & (short[name] <= 1)))
        )
