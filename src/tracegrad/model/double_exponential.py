"""DoubleExponential: a linear filter that rises and decays, the kernel of the van Rossum loss."""

from jaxtyping import Array

from tracegrad.model.linear import AbstractLinear, Cascade
from tracegrad.model.neuron import Scalars
from tracegrad.model.parameter import Positive, decay, positive
from tracegrad.model.reset import AbstractReset, NoReset


class DoubleExponential(AbstractLinear):
    r"""Rise and decay.

    $i^t=\alpha i^{t-1}+I^t,\quad v^t=\beta v^{t-1}+(1-\beta)i^t,\quad z^t=v^t$   (1)

    where $\alpha=e^{-\Delta t/\tau_{rise}}$, $\beta=e^{-\Delta t/\tau_{decay}}$, in seconds;
    the impulse response is a difference of two exponentials. Source: Zenke & Ganguli 2018.
    """

    tau_rise: Positive = positive(5e-3)
    tau_decay: Positive = positive(10e-3)
    reset: AbstractReset = NoReset()

    def coefficients(self, dt: float) -> Scalars:
        """Decays `alpha` (rise) and `beta`."""
        return {"alpha": decay(dt, self.tau_rise), "beta": decay(dt, self.tau_decay)}

    def cascade(self, c: Scalars) -> Cascade:
        """The synaptic filter, then the membrane's."""
        return ((c["alpha"], 1.0), (c["beta"], 1.0 - c["beta"]))

    def init(self, c: Scalars) -> Scalars:
        """Both at 0."""
        return {"i_syn": 0.0 * c["alpha"], "v": 0.0 * c["alpha"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (1)."""
        i_syn = c["alpha"] * s["i_syn"] + current
        return {"i_syn": i_syn, "v": c["beta"] * s["v"] + (1.0 - c["beta"]) * i_syn}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """The second filter."""
        return s["v"]
