"""Tanh: rate unit of a vanilla recurrent network, optionally leaky."""

import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, decay, positive
from tracegrad.model.reset import AbstractReset, NoReset


class Tanh(AbstractNeuron):
    r"""Leaky rate unit.

    $a^t=\alpha a^{t-1}+(1-\alpha)\tanh(I^t),\ z^t=a^t,\ \alpha=e^{-\Delta t/\tau_{mem}}$   (1)

    A time constant far below the time step gives the vanilla unit $a^t=\tanh(I^t)$; `tau_mem` in
    seconds. Source: the rate network of Murray 2019 (RFLO), whose leak is our $1-\alpha$.
    """

    tau_mem: Positive = positive(5e-3)
    reset: AbstractReset = NoReset()

    def coefficients(self, dt: float) -> Scalars:
        """Decay `alpha`."""
        return {"alpha": decay(dt, self.tau_mem)}

    def init(self, c: Scalars) -> Scalars:
        """Activity at 0."""
        return {"a": 0.0 * c["alpha"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (1)."""
        return {"a": c["alpha"] * s["a"] + (1.0 - c["alpha"]) * jnp.tanh(current)}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The activity."""
        return s["a"]
