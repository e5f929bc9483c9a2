r"""Span: matrices that are combinations of a few presynaptic vectors, and how currents see them.

While the steps of a chunk go by, every change of a matrix and every trace is

$\Delta W=\sum_v D_{:v}\,x_v^\top+\sum_u\mathrm{diag}(D_{:u})\,E_u$   (1)

of the vectors $x_v$ that came in and of the matrices $E_u$ (traces) that were carried in, so its
n x d coefficients $D$ stand for it, and its current needs no more than inner products,

$\Delta W x=D\,(x_v\cdot x)_v+\sum_u D_{:u}\odot E_u x$.   (2)
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Seen(NamedTuple):
    """What (2) needs of a presynaptic vector: inner products, and products with each matrix."""

    vectors: Float[Array, "*time batch v"]
    matrices: tuple[Float[Array, "*time batch origin n"], ...]

    def plus(self, other: "Seen") -> "Seen":
        """Of two sources whose coefficients are the same."""
        both = zip(self.matrices, other.matrices, strict=True)
        return Seen(self.vectors + other.vectors, tuple(a + b for a, b in both))


class Turned(NamedTuple):
    """What a presynaptic vector meets: columns are those of a `Span`, of all samples."""

    vectors: Float[Array, "width _"]
    matrices: tuple[Float[Array, "width _"], ...]

    def see(self, x: Float[Array, "*time batch width"]) -> Seen:
        """Products of a presynaptic vector with all that spans."""
        batch = x.shape[-2]
        through = [x @ matrix for matrix in self.matrices]
        apart = [product.reshape(*x.shape[:-1], batch, -1) for product in through]
        return Seen(x @ self.vectors, tuple(apart))


class Span(NamedTuple):
    """The vectors and matrices of one source; each belongs to the sample in which it came in.

    Columns of coefficients: `vectors` sample by sample, then each of `matrices` sample by sample.
    """

    vectors: Float[Array, "batch v width"]
    matrices: tuple[Float[Array, "batch n width"], ...]

    @property
    def columns(self) -> int:
        """Number of coefficients of a neuron."""
        batch, vectors, _ = self.vectors.shape
        return batch * (vectors + len(self.matrices))

    @property
    def turned(self) -> "Turned":
        """The same with the presynaptic index first."""

        def turn(array: Array) -> Array:
            return array.reshape(-1, array.shape[-1]).T

        return Turned(turn(self.vectors), tuple(map(turn, self.matrices)))

    def diagonal(self, coefficients: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The diagonal of (1), for a source as wide as there are neurons."""
        flat = self.vectors.reshape(-1, self.vectors.shape[-1])
        parts = split(coefficients, flat.shape[0], self.vectors.shape[0])
        total = jnp.sum(parts[0] * flat.T, axis=1)
        for part, matrix in zip(parts[1:], self.matrices, strict=True):
            total = total + jnp.sum(part.T * jnp.diagonal(matrix, axis1=1, axis2=2), axis=0)
        return total

    def change(self, coefficients: Float[Array, "n d"]) -> Float[Array, "n width"]:
        """The matrix (1) that all samples have in common."""
        flat = self.vectors.reshape(-1, self.vectors.shape[-1])
        parts = split(coefficients, flat.shape[0], self.vectors.shape[0])
        total = parts[0] @ flat
        for part, matrix in zip(parts[1:], self.matrices, strict=True):
            total = total + jnp.sum(part.T[..., None] * matrix, axis=0)
        return total

    def trace(self, coefficients: Float[Array, "batch m d"]) -> Float[Array, "batch m width"]:
        """The matrix (1) of each sample: m is n, or 1 of a trace that is a vector for all."""
        batch, count, _ = self.vectors.shape
        sample = jnp.arange(batch)
        ends = batch * count
        own = coefficients[..., :ends].reshape(*coefficients.shape[:2], batch, count)
        total = own[sample, :, sample] @ self.vectors
        if coefficients.shape[1] == 1:  # a trace in common remembers traces in common, all vectors
            return total
        for index, matrix in enumerate(self.matrices):
            column = coefficients[sample, :, ends + index * batch + sample]
            total = total + column[..., None] * matrix
        return total


def split(coefficients: Float[Array, "n d"], vectors: int, batch: int) -> list[Float[Array, "n _"]]:
    """Coefficients of all vectors, then of each matrix (n, batch)."""
    ends = range(vectors, coefficients.shape[-1], batch)
    return jnp.split(coefficients, list(ends), axis=-1)


def current(coefficients: Float[Array, "n d"], seen: Seen) -> Float[Array, "batch n"]:
    """Equation (2)."""
    batch, vectors = seen.vectors.shape
    parts = split(coefficients, vectors, batch)
    total = seen.vectors @ parts[0].T
    for part, through in zip(parts[1:], seen.matrices, strict=True):
        total = total + jnp.sum(part.T[None] * through, axis=1)
    return total
