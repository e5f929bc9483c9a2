"""IF: integrate-and-fire neuron, a membrane without a leak."""

from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, positive
from tracegrad.model.reset import AbstractReset, SubtractReset
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike


class IF(AbstractNeuron):
    r"""Integrate-and-fire: adds up what arrives, without a leak.

    $v^t=\mathrm{reset}(v^{t-1},\ z^{t-1})+I^t,\quad z^t=\Theta(v^t/\vartheta-1)$   (1)

    The reset comes before the current, so that nothing that arrives is lost. `v` and `v_threshold`
    without dimension. The limit of `LIF(reset_first=True)` for an endless `tau_mem`. Source:
    Pedersen et al. 2024 (NIR), with the input of a step added as it is.
    """

    v_threshold: Positive = positive(1.0)
    reset: AbstractReset = SubtractReset()
    surrogate: AbstractSurrogate = SuperSpike()

    def coefficients(self, dt: float) -> Scalars:
        """`v_threshold`; `dt` plays no part."""
        return {"v_threshold": self.v_threshold.value}

    def init(self, c: Scalars) -> Scalars:
        """Membrane at 0."""
        return {"v": 0.0 * c["v_threshold"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (1)."""
        return {"v": self.reset(s["v"], z, c["v_threshold"]) + current}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike where `v` exceeds the threshold."""
        return self.surrogate(s["v"] / c["v_threshold"] - 1.0)
