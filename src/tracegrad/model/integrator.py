"""Integrator: a unit that sums its current over time, for a readout without a leak."""

import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.model.linear import AbstractLinear, Cascade
from tracegrad.model.neuron import Scalars
from tracegrad.model.reset import AbstractReset, NoReset


class Integrator(AbstractLinear):
    r"""Sum over time, $v^t=v^{t-1}+I^t,\ z^t=v^t$.

    As a readout with the loss at the last step only, it makes the loss a function of
    $\sum_tW_oz^t$, and every online rule can learn from it.
    """

    reset: AbstractReset = NoReset()

    def coefficients(self, dt: float) -> Scalars:
        """None."""
        return {}

    def cascade(self, c: Scalars) -> Cascade:
        """One integrator."""
        return ((1.0, 1.0),)

    def init(self, c: Scalars) -> Scalars:
        """Sum at 0."""
        return {"v": jnp.zeros(())}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Add the current."""
        return {"v": s["v"] + current}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The sum."""
        return s["v"]
