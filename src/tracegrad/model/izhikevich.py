"""Izhikevich: the simple model, a quadratic membrane with a recovery variable."""

from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, parameter, positive
from tracegrad.model.reset import AbstractReset, ZeroReset, require_zero_reset
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike


class Izhikevich(AbstractNeuron):
    r"""Izhikevich's simple model: quadratic membrane and recovery.

    $\tau_{mem}\dot v=v(v-1)-u+I,\quad\tau_{adapt}\dot u=b\,v-u$; at a spike ($v>\vartheta$)
    $v\leftarrow v_{reset}$ and $u\leftarrow u+d$.   (1)

    A step resets first, $\tilde v=v_{reset}+\mathrm{reset}(v^{t-1}-v_{reset},z^{t-1})$ and
    $\tilde u=u^{t-1}+d\,z^{t-1}$, then takes two half steps of forward Euler for $v$ and one for
    $u$, which sees the new $v$ (2); $z^t=\Theta(v^t/\vartheta-1)$.

    Rest is 0 and the threshold of the upstroke is 1, without dimension; times in seconds. The
    defaults are the published regular-spiking neuron ($\dot V=0.04V^2+5V+140-U+I$ in mV and ms
    with $a=0.02$, $b=0.2$, $c=-65$, $d=8$, peak 30), exactly: $V=15v-70$, $U=9u-14$, and its
    current is $9I$. The membrane stays finite because a spike always takes it from the peak to
    `v_reset`; a reset that does not is refused. Made for steps of about 1 ms: forward Euler is
    unstable for much longer ones, and at 1 ms, as in the published code, a current that pulls $v$
    below about -4 within a step overshoots the parabola's left branch into a spike. The jump stays
    differentiated when the reset is detached.
    Source: Izhikevich 2003 (and 2007, chapter 8, for the form (1)), from memory.
    """

    tau_mem: Positive = positive(1e-3 / 0.6)
    tau_adapt: Positive = positive(50e-3)
    v_threshold: Positive = positive(20 / 3)
    v_reset: Array = parameter(1 / 3)
    coupling: Array = parameter(1 / 3)
    adaptation: Array = parameter(8 / 9)
    reset: AbstractReset = ZeroReset()
    surrogate: AbstractSurrogate = SuperSpike()

    def __check_init__(self):
        """Refuse a reset that leaves the membrane above its peak."""
        require_zero_reset(type(self).__name__, self.reset)

    def coefficients(self, dt: float) -> Scalars:
        """Half a step of `v` as `half`, a step of `u` as `rate`, thresholds, `b` and `d`."""
        return {
            "half": 0.5 * dt / self.tau_mem.value,
            "rate": dt / self.tau_adapt.value,
            "v_threshold": self.v_threshold.value,
            "v_reset": self.v_reset,
            "b": self.coupling,
            "d": self.adaptation,
        }

    def init(self, c: Scalars) -> Scalars:
        """Membrane and recovery at 0."""
        return {"v": 0.0 * c["half"], "u": 0.0 * c["half"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (2)."""
        v = c["v_reset"] + self.reset(s["v"] - c["v_reset"], z, c["v_threshold"])
        u = s["u"] + c["d"] * z
        for _ in range(2):
            v = v + c["half"] * (v * (v - 1.0) - u + current)
        return {"v": v, "u": u + c["rate"] * (c["b"] * v - u)}

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike where `v` exceeds its peak."""
        return self.surrogate(s["v"] / c["v_threshold"] - 1.0)
