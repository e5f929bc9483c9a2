"""ALIF: LIF neuron with an adaptive threshold and an optional refractory time."""

import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, decay, parameter, positive, setting
from tracegrad.model.reset import AbstractReset, SubtractReset
from tracegrad.model.surrogate import AbstractSurrogate, Triangle


class ALIF(AbstractNeuron):
    r"""Adaptive leaky integrate-and-fire.

    $v^t=\mathrm{reset}(\alpha v^{t-1}+g\,I^t,\ z^{t-1})$, $b^t=\rho b^{t-1}+z^{t-1}$,
    $A^t=\vartheta+\beta_a b^t$   (1)

    $r^t=\mathrm{clip}(r^{t-1}+n_{ref}z^{t-1}-1,\,0,\,n_{ref})$,
    $z^t=\Theta((v^t-A^t)/\vartheta)\,[r^t=0]$   (2)

    with $\alpha=e^{-\Delta t/\tau_{mem}}$, $\rho=e^{-\Delta t/\tau_{adapt}}$, $g=1-\alpha$ if
    `normalised`, else 1. After a spike the neuron is silent, and its surrogate derivative zero,
    for `refractory_steps - 1` steps (0: no refractoriness). The adaptation path stays
    differentiated when the reset is detached. Times in seconds, the rest without dimension.
    Source: Bellec et al. 2020.
    """

    tau_mem: Positive = positive(20e-3)
    tau_adapt: Positive = positive(200e-3)
    v_threshold: Positive = positive(1.0)
    adaptation: Array = parameter(0.2)
    reset: AbstractReset = SubtractReset()
    surrogate: AbstractSurrogate = Triangle()
    refractory_steps: int = setting(0)
    normalised: bool = setting(False)

    def coefficients(self, dt: float) -> Scalars:
        """Decays `alpha` and `rho`, `v_threshold`, and the adaptation strength `beta_a`."""
        return {
            "alpha": decay(dt, self.tau_mem),
            "rho": decay(dt, self.tau_adapt),
            "v_threshold": self.v_threshold.value,
            "beta_a": self.adaptation,
        }

    def init(self, c: Scalars) -> Scalars:
        """Everything at 0; the refractory counter `r` exists only if there is refractoriness."""
        zero = 0.0 * c["alpha"]
        counter = {"r": zero} if self.refractory_steps else {}
        return {"v": zero, "b": zero} | counter

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equations (1) and the counter of (2)."""
        gain = 1.0 - c["alpha"] if self.normalised else 1.0
        after = {
            "v": self.reset(c["alpha"] * s["v"] + gain * current, z, c["v_threshold"]),
            "b": c["rho"] * s["b"] + z,
        }
        if self.refractory_steps:
            fired = jnp.where(z > 0, float(self.refractory_steps), 0.0)
            after["r"] = jnp.clip(s["r"] + fired - 1.0, 0.0, float(self.refractory_steps))
        return after

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike of (2)."""
        threshold = c["v_threshold"] + c["beta_a"] * s["b"]
        z = self.surrogate((s["v"] - threshold) / c["v_threshold"])
        return jnp.where(s["r"] > 0, 0.0, z) if self.refractory_steps else z
