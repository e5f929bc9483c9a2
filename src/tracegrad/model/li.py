"""LI: leaky integrator that never spikes; its output is its potential."""

from jaxtyping import Array

from tracegrad.model.linear import AbstractLinear, Cascade
from tracegrad.model.neuron import Scalars
from tracegrad.model.parameter import Positive, decay, positive, setting
from tracegrad.model.reset import AbstractReset, NoReset


class LI(AbstractLinear):
    r"""Leaky integrator, also the leaky readout.

    $v^t=\alpha v^{t-1}+g\,I^t,\quad z^t=v^t,\quad \alpha=e^{-\Delta t/\tau_{mem}}$   (1)

    with $g=1-\alpha$ if `normalised`, else 1; `tau_mem` in seconds.
    """

    tau_mem: Positive = positive(20e-3)
    reset: AbstractReset = NoReset()
    normalised: bool = setting(True)

    def coefficients(self, dt: float) -> Scalars:
        """Decay `alpha`."""
        return {"alpha": decay(dt, self.tau_mem)}

    def gain(self, c: Scalars) -> Array | float:
        """Weight $g$ of the current."""
        return 1.0 - c["alpha"] if self.normalised else 1.0

    def cascade(self, c: Scalars) -> Cascade:
        """One leaky integrator."""
        return ((c["alpha"], self.gain(c)),)

    def init(self, c: Scalars) -> Scalars:
        """Potential at 0."""
        return {"v": 0.0 * c["alpha"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (1)."""
        return {"v": c["alpha"] * s["v"] + self.gain(c) * current}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The potential."""
        return s["v"]
