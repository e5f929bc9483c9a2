"""LIF: leaky integrate-and-fire neuron with one state, the membrane potential."""

from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, decay, positive, setting
from tracegrad.model.reset import AbstractReset, SubtractReset
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike


class LIF(AbstractNeuron):
    r"""Leaky integrate-and-fire.

    $v^t=\mathrm{reset}(\alpha v^{t-1}+g\,I^t,\ z^{t-1}),\quad z^t=\Theta(v^t/\vartheta-1),\quad
    \alpha=e^{-\Delta t/\tau_{mem}}$   (1)

    with $g=1-\alpha$ if `normalised`, else 1. With `reset_first` the spike resets the membrane
    before it leaks, $v^t=\alpha\,\mathrm{reset}(v^{t-1},z^{t-1})+g\,I^t$, so that the current of
    the step after a spike counts (NIR, Norse). `tau_mem` in seconds; `v` and `v_threshold` without
    dimension. Source: Bellec et al. 2020 (normalised, subtract).
    """

    tau_mem: Positive = positive(20e-3)
    v_threshold: Positive = positive(1.0)
    reset: AbstractReset = SubtractReset()
    surrogate: AbstractSurrogate = SuperSpike()
    normalised: bool = setting(False)
    reset_first: bool = setting(False)

    def coefficients(self, dt: float) -> Scalars:
        """Decay `alpha` and `v_threshold`."""
        return {"alpha": decay(dt, self.tau_mem), "v_threshold": self.v_threshold.value}

    def init(self, c: Scalars) -> Scalars:
        """Membrane at 0."""
        return {"v": 0.0 * c["alpha"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (1)."""
        new = (1.0 - c["alpha"] if self.normalised else 1.0) * current
        if self.reset_first:
            return {"v": c["alpha"] * self.reset(s["v"], z, c["v_threshold"]) + new}
        return {"v": self.reset(c["alpha"] * s["v"] + new, z, c["v_threshold"])}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike where `v` exceeds the threshold."""
        return self.surrogate(s["v"] / c["v_threshold"] - 1.0)
