"""Memoryless: a unit that passes its current on, for a readout without a leak."""

import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.model.linear import AbstractLinear, Cascade
from tracegrad.model.neuron import Scalars
from tracegrad.model.reset import AbstractReset, NoReset


class Memoryless(AbstractLinear):
    """Linear unit without memory: $z^t = v^t = I^t$."""

    reset: AbstractReset = NoReset()

    def coefficients(self, dt: float) -> Scalars:
        """None."""
        return {}

    def cascade(self, c: Scalars) -> Cascade:
        """Nothing."""
        return ()

    def init(self, c: Scalars) -> Scalars:
        """Zero."""
        return {"v": jnp.zeros(())}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """The current."""
        return {"v": current}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The current."""
        return s["v"]
