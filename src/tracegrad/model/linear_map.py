r"""Linear maps: the weights of a connection where they are no plain matrix.

A rule needs three things of a connection: the current $I=Wx$, what a cotangent of the current asks
of the lines below, $W^\top\lambda$, and the gradient $\partial\langle\lambda,Wx\rangle/\partial w$.
A matrix has plain products for them. Any other map says what $Wx$ is, and JAX transposes it.
"""

from abc import abstractmethod
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Self = TypeVar("Self", bound="AbstractMap")


class AbstractMap(eqx.Module):
    """A linear map from `lines` to `size` currents; its one array `weight` is what learns."""

    weight: eqx.AbstractVar[Float[Array, "..."]]
    lines: eqx.AbstractVar[int]
    size: eqx.AbstractVar[int]

    @abstractmethod
    def __call__(self, x: Float[Array, "*t m"]) -> Float[Array, "*t n"]:
        """The currents."""

    @abstractmethod
    def fan_in(self) -> "FanIn":
        """The same map with a weight of its own for every synapse."""

    def matrix(self) -> Float[Array, "n m"]:
        """The same map as a matrix."""
        return self.fan_in().matrix()

    def back(self, cotangent: Float[Array, "*t n"]) -> Float[Array, "*t m"]:
        r"""$W^\top\lambda$, what the currents ask of the lines."""
        x = jax.ShapeDtypeStruct((*cotangent.shape[:-1], self.lines), cotangent.dtype)
        return jax.linear_transpose(self, x)(cotangent)[0]

    def gradient(
        self, cotangent: Float[Array, "*t n"], x: Float[Array, "*t m"]
    ) -> Float[Array, "..."]:
        r"""$\partial\langle\lambda,Wx\rangle/\partial w$, summed over all leading axes."""
        return jax.vjp(lambda weight: self.filled(weight)(x), self.weight)[1](cotangent)[0]

    def filled(self: Self, weight: Any) -> Self:
        """The same map with another array, for example its gradient, in the place of `weight`."""
        return eqx.tree_at(lambda m: m.weight, self, weight)


class Places:
    """Constant indices (n, k) that are compared by value, as a static field of a map must be."""

    def __init__(self, index: np.ndarray):
        """Keep a copy that nobody changes."""
        self.index = np.array(index, np.int32)
        self.index.setflags(write=False)
        self._hash = hash((self.index.shape, self.index.tobytes()))

    def __hash__(self) -> int:
        """Made once."""
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Equal indices are equal places."""
        if not isinstance(other, Places) or self._hash != other._hash:
            return False
        return self is other or np.array_equal(self.index, other.index)


class FanIn(AbstractMap):
    """Every neuron has `k` synapses on lines of its own: weights and places are (n, k).

    A place that is `lines` is no line: its input is always zero. A current is computed with the
    matrix, which for fan-ins above a few per cent is the faster way; memory n k, and n m for the
    time of a product.
    """

    weight: Float[Array, "n k"]
    places: Places = eqx.field(static=True)
    lines: int = eqx.field(static=True)

    @property
    def size(self) -> int:  # type: ignore[override]  # read off the weights
        """Number of neurons."""
        return self.places.index.shape[0]

    @property
    def width(self) -> int:
        """Synapses of a neuron."""
        return self.places.index.shape[1]

    def __call__(self, x: Float[Array, "*t m"]) -> Float[Array, "*t n"]:
        """The product with the matrix."""
        return x @ self.matrix().T

    def fan_in(self) -> "FanIn":
        """It is one."""
        return self

    def matrix(self) -> Float[Array, "n m"]:
        """Weights at their places; two synapses on one line add up."""
        index = self.places.index
        rows = np.arange(self.size)[:, None]
        wide = jnp.zeros((self.size, self.lines + 1), self.weight.dtype)
        return wide.at[rows, index].add(self.weight)[:, : self.lines]

    def gradient(
        self, cotangent: Float[Array, "*t n"], x: Float[Array, "*t m"]
    ) -> Float[Array, "n k"]:
        """That of the matrix, where there are synapses."""
        flat = cotangent.reshape(-1, self.size).T @ x.reshape(-1, self.lines)
        return self._seen(flat, np.arange(self.size)[:, None])

    def spread(self, x: Float[Array, "*t m"]) -> Float[Array, "*t n k"]:
        """What every synapse sees."""
        return self._seen(x, ...)

    def traced(
        self, cotangent: Float[Array, "t b n"], x: Float[Array, "t b m"]
    ) -> Float[Array, "b n k"]:
        """The gradient for each sample, summed over time; one synapse a neuron at a time."""

        def one(index: Array) -> Array:
            return jnp.einsum("tbn,tbn->bn", cotangent, padded[..., index])

        padded = jnp.pad(x, ((0, 0), (0, 0), (0, 1)))
        return jnp.moveaxis(jax.lax.map(one, jnp.asarray(self.places.index.T)), 0, -1)

    def _seen(self, x: Array, rows: Any) -> Array:
        padded = jnp.pad(x, (*((0, 0),) * (x.ndim - 1), (0, 1)))
        return padded[rows, self.places.index]


Weights = Float[Array, "n m"] | AbstractMap


def currents(weight: Weights, x: Float[Array, "*t m"]) -> Float[Array, "*t n"]:
    """$Wx$."""
    return weight(x) if isinstance(weight, AbstractMap) else x @ weight.T


def transposed(weight: Weights, cotangent: Float[Array, "*t n"]) -> Float[Array, "*t m"]:
    r"""$W^\top\lambda$."""
    return weight.back(cotangent) if isinstance(weight, AbstractMap) else cotangent @ weight


def filled(weight: Weights, value: Any) -> Any:
    """A gradient in the structure of the weights."""
    return weight.filled(value) if isinstance(weight, AbstractMap) else value


def as_matrix(weight: Weights) -> Float[Array, "n m"]:
    """The weights as a matrix."""
    return weight.matrix() if isinstance(weight, AbstractMap) else weight


def as_fan_in(weight: Weights) -> Float[Array, "n m"] | FanIn:
    """The weights with one for every synapse."""
    return weight.fan_in() if isinstance(weight, AbstractMap) else weight
