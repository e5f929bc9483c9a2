"""reverse_mode: BPTT as an expert writes it, and the same without the recurrent way back.

The input currents are one product, the reverse scan is written out, and every weight gradient is
one product after it. The reset is detached.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.bench.references.weights import Weights, cross_entropy, surrogate
from tracegrad.bench.workload import ALPHA, BETA, KAPPA
from tracegrad.model.over_time import over_time


def expert_bptt(
    w: Weights, xs: Float[Array, "time batch m"], classes: Int[Array, " batch"]
) -> tuple[Float[Array, ""], Weights]:
    """Exact, except for the detached reset; memory O(T B n)."""
    return _reverse(w, xs, classes, through=True)


def stop_gradient(
    w: Weights, xs: Float[Array, "time batch m"], classes: Int[Array, " batch"]
) -> tuple[Float[Array, ""], Weights]:
    """Without the recurrent matrix on the way back: e-prop, offline; memory O(T B n)."""
    return _reverse(w, xs, classes, through=False)


def filtered(values: Array, reverse: bool = False) -> Array:
    """The readout's leak along time."""

    def body(carry: Array, value: Array) -> tuple[Array, Array]:
        carry = KAPPA * carry + value
        return carry, carry

    return over_time(body, jnp.zeros_like(values[0]), values, reverse=reverse)[1]


def product(values: Array, weight: Array) -> Array:
    """All steps and samples with a matrix."""
    return (values.reshape(-1, values.shape[-1]) @ weight).reshape(*values.shape[:2], -1)


def membranes(w: Weights, xs: Array) -> tuple[Array, Array]:
    """Membranes and spikes at every step, (T, B, n)."""
    still = jnp.zeros((xs.shape[1], w.w_rec.shape[0]), xs.dtype)

    def body(carry: tuple, current: Array) -> tuple[tuple, tuple]:
        i, v, z = carry
        i = ALPHA * i + current + z @ w.w_rec
        v = BETA * v + i - z
        z = (v > 1.0).astype(v.dtype)
        return (i, v, z), (v, z)

    return over_time(body, (still, still, still), product(xs, w.w_in))[1]


def _reverse(w: Weights, xs: Array, classes: Array, through: bool) -> tuple[Array, Weights]:
    vs, zs = membranes(w, xs)
    readout = filtered(product(zs, w.w_out))
    loss, asked = jax.value_and_grad(cross_entropy)(readout, classes)
    asked = filtered(asked, reverse=True)
    signal, slope = product(asked, w.w_out.T), surrogate(vs)
    still, back = jnp.zeros_like(vs[0]), w.w_rec.T

    def body(carry: tuple, now: tuple) -> tuple[tuple, Array]:
        d_v, d_i = carry
        here, psi = now
        d_z = here + d_i @ back if through else here
        d_v = BETA * d_v + d_z * psi
        d_i = ALPHA * d_i + d_v
        return (d_v, d_i), d_i

    d_currents = over_time(body, (still, still), (signal, slope), reverse=True)[1]
    before = jnp.concatenate([still[None], zs[:-1]])

    def flat(a: Array) -> Array:
        return a.reshape(-1, a.shape[-1])

    sides = ((xs, d_currents), (before, d_currents), (zs, asked))
    return loss, Weights(*(flat(a).T @ flat(b) for a, b in sides))
