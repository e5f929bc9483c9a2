"""CubaLIF: current-based LIF neuron with a synaptic current and a membrane potential."""

from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, decay, positive, setting
from tracegrad.model.reset import AbstractReset, SubtractReset
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike


class CubaLIF(AbstractNeuron):
    r"""Current-based leaky integrate-and-fire.

    $i^t=\alpha i^{t-1}+I^t,\quad v^t=\mathrm{reset}(\beta v^{t-1}+g\,i^{*},\ z^{t-1}),\quad
    z^t=\Theta(v^t/\vartheta-1)$   (1)

    with $\alpha=e^{-\Delta t/\tau_{syn}}$, $\beta=e^{-\Delta t/\tau_{mem}}$, $g=1-\beta$ if
    `normalised`, else 1. The membrane sees the new current, $i^*=i^t$, or with
    `old_current=True` the current of the step before, $i^*=i^{t-1}$ (SpyTorch): the trace then
    shifts by one step. With `reset_first` the spike resets the membrane before it leaks,
    $v^t=\beta\,\mathrm{reset}(v^{t-1},z^{t-1})+g\,i^*$ (NIR, snnTorch). Times in seconds;
    `i_syn`, `v`, `v_threshold` without dimension.
    Source: Neftci, Mostafa & Zenke 2019.
    """

    tau_mem: Positive = positive(20e-3)
    tau_syn: Positive = positive(5e-3)
    v_threshold: Positive = positive(1.0)
    reset: AbstractReset = SubtractReset()
    surrogate: AbstractSurrogate = SuperSpike()
    old_current: bool = setting(False)
    normalised: bool = setting(True)
    reset_first: bool = setting(False)

    def coefficients(self, dt: float) -> Scalars:
        """Decays `alpha` (current) and `beta` (membrane), and `v_threshold`."""
        return {
            "alpha": decay(dt, self.tau_syn),
            "beta": decay(dt, self.tau_mem),
            "v_threshold": self.v_threshold.value,
        }

    def init(self, c: Scalars) -> Scalars:
        """Current and membrane at 0."""
        return {"i_syn": 0.0 * c["alpha"], "v": 0.0 * c["alpha"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (1)."""
        i_syn = c["alpha"] * s["i_syn"] + current
        seen = s["i_syn"] if self.old_current else i_syn
        new = (1.0 - c["beta"] if self.normalised else 1.0) * seen
        if self.reset_first:
            v = c["beta"] * self.reset(s["v"], z, c["v_threshold"]) + new
        else:
            v = self.reset(c["beta"] * s["v"] + new, z, c["v_threshold"])
        return {"i_syn": i_syn, "v": v}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike where `v` exceeds the threshold."""
        return self.surrogate(s["v"] / c["v_threshold"] - 1.0)
