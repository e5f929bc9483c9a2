"""AdEx: adaptive exponential integrate-and-fire neuron."""

import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, decay, parameter, positive, setting
from tracegrad.model.reset import AbstractReset, ZeroReset, require_zero_reset
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike

_LARGEST_EXPONENT = 80.0  # float32 overflows at 88.7


class AdEx(AbstractNeuron):
    r"""Adaptive exponential integrate-and-fire.

    $\tau_{mem}\dot v=-v+\Delta\,e^{(v-1)/\Delta}-w+I,\quad\tau_{adapt}\dot w=a\,v-w$; at a spike
    ($v>\vartheta$) $v\leftarrow v_{reset}$ and $w\leftarrow w+b$.   (1)

    A step resets first, then lets each leak act exactly and the rest as constants:

    $\tilde v=v_{reset}+\mathrm{reset}(v^{t-1}-v_{reset},z^{t-1}),\ \tilde w=w^{t-1}+b\,z^{t-1}$

    $v^t=\alpha\tilde v+(1-\alpha)(\Delta e^{(\tilde v-1)/\Delta}-\tilde w)+g\,I^t,\quad
    w^t=\rho\tilde w+(1-\rho)\,a\tilde v,\quad z^t=\Theta(v^t/\vartheta-1)$   (2)

    with $\alpha=e^{-\Delta t/\tau_{mem}}$, $\rho=e^{-\Delta t/\tau_{adapt}}$, $g=1-\alpha$ if
    `normalised`, else 1. Potentials count from rest, in units of the distance to the threshold
    $V_T$ of the exponential: rest is 0 and $V_T$ is 1; `w` in the same unit, times in seconds.

    Nothing is clamped. The exponential sees only the membrane after its reset, $\tilde v\le
    \max(\vartheta, v_{reset})$, so it is finite as long as $(\vartheta-1)/\Delta$ is moderate:
    more than 80 is refused, and so is a reset that leaves a membrane above $\vartheta$. The
    cut-off 1.5 and $\Delta=0.2$ make the steepest slope of a step small enough to learn through;
    the published neuron is steeper ($\Delta=0.1$) and is cut higher. The coupling $a$ and the jump
    $b$ (`adaptation`) are the published ones in these units. The jump stays differentiated when
    the reset is detached. Source: Brette & Gerstner 2005; numbers from memory.
    """

    tau_mem: Positive = positive(20e-3)
    tau_adapt: Positive = positive(144e-3)
    slope_factor: Positive = positive(0.2)
    v_threshold: Positive = positive(1.5)
    v_reset: Array = parameter(0.0)
    coupling: Array = parameter(0.13)
    adaptation: Array = parameter(0.13)
    reset: AbstractReset = ZeroReset()
    surrogate: AbstractSurrogate = SuperSpike()
    normalised: bool = setting(False)

    def __check_init__(self):
        """Refuse what would let the exponential overflow."""
        require_zero_reset(type(self).__name__, self.reset)
        highest = jnp.maximum(self.v_threshold.value, self.v_reset)
        exponent = float(jnp.max((highest - 1.0) / self.slope_factor.value))
        if exponent > _LARGEST_EXPONENT:
            raise ValueError(
                f"The exponential of AdEx would reach e^{exponent:.0f} and must stay below "
                f"e^{_LARGEST_EXPONENT:.0f}. Lower v_threshold or v_reset, or raise slope_factor."
            )

    def coefficients(self, dt: float) -> Scalars:
        r"""Decays `alpha` and `rho`, $\Delta$ as `delta`, `v_threshold`, `v_reset`, `a`, `b`."""
        return {
            "alpha": decay(dt, self.tau_mem),
            "rho": decay(dt, self.tau_adapt),
            "delta": self.slope_factor.value,
            "v_threshold": self.v_threshold.value,
            "v_reset": self.v_reset,
            "a": self.coupling,
            "b": self.adaptation,
        }

    def init(self, c: Scalars) -> Scalars:
        """Membrane and adaptation at 0."""
        return {"v": 0.0 * c["alpha"], "w": 0.0 * c["alpha"]}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equation (2)."""
        v = c["v_reset"] + self.reset(s["v"] - c["v_reset"], z, c["v_threshold"])
        w = s["w"] + c["b"] * z
        upstroke = c["delta"] * jnp.exp((v - 1.0) / c["delta"])
        gain = 1.0 - c["alpha"] if self.normalised else 1.0
        return {
            "v": c["alpha"] * v + (1.0 - c["alpha"]) * (upstroke - w) + gain * current,
            "w": c["rho"] * w + (1.0 - c["rho"]) * c["a"] * v,
        }

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike where `v` exceeds the threshold."""
        return self.surrogate(s["v"] / c["v_threshold"] - 1.0)
