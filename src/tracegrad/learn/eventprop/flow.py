r"""Flow: how membranes and currents move between two events, and when one reaches threshold.

$\tau_m\dot V=-V+I,\qquad \tau_s\dot I=-I$   (1)

has the solution, with $\varphi(x)=(1-e^{-x})/x$ and $x=t/\tau_s-t/\tau_m$,

$I(t)=I_0e^{-t/\tau_s},\qquad
V(t)=e^{-t/\tau_m}\big(V_0+I_0\,\tfrac{t}{\tau_m}\varphi(x)\big)$   (2)

which holds for $\tau_m=\tau_s$ too. Times in seconds, potentials and currents without dimension.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Cell(NamedTuple):
    """The constants of all neurons."""

    tau_mem: Float[Array, " n"]
    tau_syn: Float[Array, " n"]
    v_threshold: Float[Array, " n"]


def response(cell: Cell, h: Float[Array, "*some"]) -> Float[Array, " n"]:
    r"""Potential `h` seconds after a unit of current at rest: $e^{-h/\tau_m}h\varphi(x)/\tau_m$."""
    x = h / cell.tau_syn - h / cell.tau_mem
    small = jnp.abs(x) < 1e-5  # there the series is exact to 1e-11 x^2
    safe = jnp.where(small, 1.0, x)
    phi = jnp.where(small, 1.0 - x / 2.0 + x**2 / 6.0, -jnp.expm1(-safe) / safe)
    return jnp.exp(-h / cell.tau_mem) * h / cell.tau_mem * phi


def move(
    cell: Cell, v: Float[Array, " n"], i: Float[Array, " n"], h: Float[Array, "*some"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Potential and current after `h` seconds without events, equation (2)."""
    after = v * jnp.exp(-h / cell.tau_mem) + i * response(cell, h)
    return after, i * jnp.exp(-h / cell.tau_syn)


def crossing(cell: Cell, v: Float[Array, " n"], i: Float[Array, " n"]) -> Float[Array, " n"]:
    r"""Seconds until each potential first reaches its threshold, infinity where it never does.

    The potential rises only while $I>V$, up to its maximum at

    $t^*=\tau_m\tau_s\,\ln(1+\delta u)/\delta,\quad u=\frac{I-V}{\tau_mV+\tau_s(I-V)},\quad
    \delta=\tau_m-\tau_s$   (3)

    and is concave until then, so Newton's method from the left neither overshoots nor fails. It
    runs to the last digit: some 5 rounds, up to 50 where the maximum barely reaches threshold.
    """
    rise, delta = i - v, cell.tau_mem - cell.tau_syn
    below = cell.tau_mem * v + cell.tau_syn * rise
    rises = (rise > 0) & (below > 0)
    u = jnp.where(rises, rise / jnp.where(rises, below, 1.0), 0.0)
    x = delta * u
    small = jnp.abs(x) < 1e-5
    log = jnp.where(small, 1.0 - x / 2.0 + x**2 / 3.0, jnp.log1p(x) / jnp.where(small, 1.0, x))
    peak = cell.tau_mem * cell.tau_syn * u * log
    reaches = rises & (move(cell, v, i, peak)[0] > cell.v_threshold)
    least = jnp.finfo(v.dtype).eps * cell.tau_mem

    def improve(
        carry: tuple[Array, Array, Array],
    ) -> tuple[Array, Array, Array]:
        h, _, count = carry
        now_v, now_i = move(cell, v, i, h)
        slope = jnp.where(now_i > now_v, now_i - now_v, 1.0) / cell.tau_mem
        step = jnp.where(reaches, jnp.maximum(cell.v_threshold - now_v, 0.0) / slope, 0.0)
        return jnp.minimum(h + step, peak), step, count + 1

    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        _, step, count = carry
        return jnp.any(step > least) & (count < 60)

    start = jnp.zeros_like(v), jnp.full_like(v, jnp.inf), jnp.zeros((), jnp.int32)
    h, _, _ = jax.lax.while_loop(unfinished, improve, start)
    return jnp.where(reaches, h, jnp.inf)
