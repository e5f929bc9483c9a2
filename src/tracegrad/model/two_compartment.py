"""TwoCompartment: a soma that spikes and a dendrite beside it, each with a current of its own."""

from typing import ClassVar

from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, decay, positive
from tracegrad.model.reset import AbstractReset, SubtractReset
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike

SOMA, DENDRITE = "soma", "dendrite"


class TwoCompartment(AbstractNeuron):
    r"""Soma and dendrite: passive compartments in contact, of which the soma spikes.

    $\tau_{mem}\dot v=-v+c_s(v_d-v)+\dots,\quad\tau_{dendrite}\dot v_d=-v_d+c_d(v-v_d)+\dots$   (1)

    $v_d^t=\rho v_d^{t-1}+(1-\rho)\,c_d(v^{t-1}-v_d^{t-1})+I_{dendrite}^t$

    $v^t=\mathrm{reset}(\alpha v^{t-1}+(1-\alpha)\,c_s(v_d^t-v^{t-1})+I_{soma}^t,\ z^{t-1}),\quad
    z^t=\Theta(v^t/\vartheta-1)$   (2)

    with $\alpha=e^{-\Delta t/\tau_{mem}}$, $\rho=e^{-\Delta t/\tau_{dendrite}}$. The feed-forward
    connection drives the dendrite and the recurrent one the soma, so a layer's input reaches its
    spikes through the slow compartment. The couplings `coupling_soma` and `coupling_dendrite` are
    the conductance between the compartments in units of each one's leak; a dendrite that hears
    nothing of the soma's spikes has a small `coupling_dendrite`. Times in seconds, the rest
    without dimension. Source: the passive cable of two compartments, (1); the choice of ports and
    of the step is ours.
    """

    feedforward_ports: ClassVar[tuple[str, ...]] = (DENDRITE,)
    recurrent_ports: ClassVar[tuple[str, ...]] = (SOMA,)
    tau_mem: Positive = positive(10e-3)
    tau_dendrite: Positive = positive(20e-3)
    coupling_soma: Positive = positive(1.0)
    coupling_dendrite: Positive = positive(0.5)
    v_threshold: Positive = positive(1.0)
    reset: AbstractReset = SubtractReset()
    surrogate: AbstractSurrogate = SuperSpike()

    def coefficients(self, dt: float) -> Scalars:
        """Decays `alpha` and `rho`, the couplings times their step, and `v_threshold`."""
        alpha, rho = decay(dt, self.tau_mem), decay(dt, self.tau_dendrite)
        return {
            "alpha": alpha,
            "rho": rho,
            "to_soma": (1.0 - alpha) * self.coupling_soma.value,
            "to_dendrite": (1.0 - rho) * self.coupling_dendrite.value,
            "v_threshold": self.v_threshold.value,
        }

    def init(self, c: Scalars) -> Scalars:
        """Both compartments at 0."""
        return {"v": 0.0 * c["alpha"], "v_dendrite": 0.0 * c["alpha"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: dict[str, Array]) -> Scalars:
        """Equation (2)."""
        v, v_dendrite = s["v"], s["v_dendrite"]
        v_dendrite = c["rho"] * v_dendrite + c["to_dendrite"] * (v - v_dendrite) + current[DENDRITE]
        v = c["alpha"] * v + c["to_soma"] * (v_dendrite - v) + current[SOMA]
        return {"v": self.reset(v, z, c["v_threshold"]), "v_dendrite": v_dendrite}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike where the soma exceeds the threshold."""
        return self.surrogate(s["v"] / c["v_threshold"] - 1.0)
