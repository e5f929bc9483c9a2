"""Scale: what the least significant bit of a stored weight is worth, always a power of two."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.model.parameter import setting
from tracegrad.substrate.fixed import Fixed


class AbstractScale(eqx.Module):
    """The least significant bit of each array of weights, found once, when it is first stored."""

    @abstractmethod
    def __call__(self, weight: Float[Array, "*shape"], format: Fixed) -> Float[Array, "*lead"]:
        """Its value, in a shape that spreads over the weights."""


class Point(AbstractScale):
    """That of the format, the same for all weights."""

    def __call__(self, weight: Array, format: Fixed) -> Array:
        """See the class."""
        return jnp.asarray(format.lsb, weight.dtype)


class PerMatrix(AbstractScale):
    r"""One for an array: the least power of two with `headroom` times its largest weight in range.

    An array of zeros gets the range of `headroom` itself.
    """

    headroom: float = setting(2.0)

    def __call__(self, weight: Array, format: Fixed) -> Array:
        """See the class."""
        return _power(jnp.max(jnp.abs(weight)), self.headroom, format)


class PerNeuron(AbstractScale):
    """The same for every neuron's own weights, a row; biases have one for the layer."""

    headroom: float = setting(2.0)

    def __call__(self, weight: Array, format: Fixed) -> Array:
        """See the class."""
        if weight.ndim == 1:
            return _power(jnp.max(jnp.abs(weight)), self.headroom, format)
        return _power(jnp.max(jnp.abs(weight), axis=-1, keepdims=True), self.headroom, format)


def _power(largest: Array, headroom: float, format: Fixed) -> Array:
    """The least power of two that reaches; by exponents, so that it is the same everywhere."""
    reach = jnp.where(largest > 0, largest, 1.0) * (headroom / format.high)
    mantissa, exponent = jnp.frexp(reach)
    return jnp.ldexp(jnp.ones_like(reach), exponent - (mantissa == 0.5).astype(exponent.dtype))
