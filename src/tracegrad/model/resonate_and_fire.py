"""ResonateAndFire: the balanced resonate-and-fire neuron, a damped oscillator that spikes."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars
from tracegrad.model.parameter import Positive, decay, positive
from tracegrad.model.reset import AbstractReset, NoReset
from tracegrad.model.surrogate import AbstractSurrogate, SuperSpike


class ResonateAndFire(AbstractNeuron):
    r"""Balanced resonate-and-fire: a damped oscillator with a smooth reset.

    $u^t=u^{t-1}+\delta\,(b^t+i\omega)\,u^{t-1}+I^t,\quad q^t=\gamma q^{t-1}+z^{t-1}$   (1)

    $b^t=p(\omega)-b'-\kappa q^t,\quad p(\omega)=\frac{-1+\sqrt{1-(\delta\omega)^2}}{\delta}$   (2)

    $z^t=\Theta\big((\Re u^t-\vartheta-q^t)/\vartheta\big)$   (3)

    for the time step $\delta=\Delta t$, as two reals, $u=$ `u_re` $+i$ `u_im`. At the divergence
    boundary $p(\omega)$ an undriven step keeps $|u|$; the offset $b'=1/\tau_{mem}$ damps it
    (`tau_mem` is its decay). A spike raises $q$, which fades with $\gamma=e^{-\delta/\tau_{adapt}}$
    and does two things: a higher threshold (the refractory period) and more damping (the smooth
    reset, $\kappa=1/\tau_{reset}$). $q$ is a state and stays differentiated when the reset is
    detached; `reset` is a further, hard one of $\Re u$, by default none.

    `omega` in rad/s, positive; $\delta\omega\ge1$ has no boundary and is refused, and learning that
    leads there ends in values that are not numbers, which stop a run. Times in seconds,
    `v_threshold` without dimension. Neurons of a layer differ by the `omega` and `tau_mem`
    given for each, shape (n,). Source: Higuchi et al. 2024, from memory. There time has no unit
    and $\kappa=1$, $\gamma=0.9$, $\delta=0.01$: taken as 1 ms, the defaults are its $\gamma$,
    $\kappa$ and middle $\omega$ and $b'$. Ours are the current without the factor $\delta$, which
    weights absorb, and the surrogate.
    """

    omega: Positive = positive(75.0)
    tau_mem: Positive = positive(40e-3)
    tau_reset: Positive = positive(100e-3)
    tau_adapt: Positive = positive(9.5e-3)
    v_threshold: Positive = positive(1.0)
    reset: AbstractReset = NoReset()
    surrogate: AbstractSurrogate = SuperSpike()

    def coefficients(self, dt: float) -> Scalars:
        r"""`turn` $\delta\omega$, `keep` $1+\delta(p-b')$, `damp` $\delta\kappa$, `gamma`."""
        turn = dt * self.omega.value
        _require_boundary(turn, dt)
        return {
            "turn": turn,
            "keep": jnp.sqrt(1.0 - turn**2) - dt / self.tau_mem.value,
            "damp": dt / self.tau_reset.value,
            "gamma": decay(dt, self.tau_adapt),
            "v_threshold": self.v_threshold.value,
        }

    def init(self, c: Scalars) -> Scalars:
        """Everything at 0."""
        zero = 0.0 * c["turn"]
        return {"u_re": zero, "u_im": zero, "q": zero}

    def step(self, c: Scalars, s: Scalars, z: Array, current: Array) -> Scalars:
        """Equations (1) and (2)."""
        q = c["gamma"] * s["q"] + z
        keep = c["keep"] - c["damp"] * q
        u_re = keep * s["u_re"] - c["turn"] * s["u_im"] + current
        return {
            "u_re": self.reset(u_re, z, c["v_threshold"]),
            "u_im": c["turn"] * s["u_re"] + keep * s["u_im"],
            "q": q,
        }

    def output(self, c: Scalars, s: Scalars) -> Array:
        """Spike of (3)."""
        return self.surrogate((s["u_re"] - s["q"]) / c["v_threshold"] - 1.0)


def _require_boundary(turn: Array, dt: float) -> None:
    """Refuse an angular frequency that the step cannot follow, where its value is known."""
    if not isinstance(turn, Tracer) and np.any(np.asarray(turn) >= 1.0):
        raise ValueError(
            f"omega must be below 1/dt = {1 / dt:.4g} rad/s, got up to "
            f"{float(jnp.max(turn)) / dt:.4g}. Lower omega or take a shorter time step."
        )
