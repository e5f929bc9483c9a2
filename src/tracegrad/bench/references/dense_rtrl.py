r"""dense_rtrl: exact real-time recurrent learning, its contraction as one dense product.

The influence of every weight $w_{jm}$ on every neuron is carried, with the derivative $\psi$ of
the spike and the reset path:

$G_i' = \alpha G_i + V^\top G_z + \delta_{lj}\, x_m$,
$G_v' = \beta G_v + G_i' - G_z$, $G_z' = \psi\, G_v'$.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.bench.references.summed import summed
from tracegrad.bench.references.weights import Weights, error, surrogate
from tracegrad.bench.workload import ALPHA, BETA, KAPPA


class Influences(NamedTuple):
    """States, and the influence of weight (m, j) on neuron l; q = batch p n, p = lines + n.

    The neuron comes first, so that the contraction is a product of two matrices.
    """

    i: Float[Array, "batch n"]
    v: Float[Array, "batch n"]
    z: Float[Array, "batch n"]
    readout: Float[Array, "batch o"]
    g_i: Float[Array, "n q"]
    g_v: Float[Array, "n q"]
    g_z: Float[Array, "n q"]
    g_q: Float[Array, "n q"]
    out: Float[Array, "batch n"]


def dense_rtrl(
    w: Weights, xs: Float[Array, "time batch m"], classes: Int[Array, " batch"]
) -> tuple[Float[Array, ""], Weights]:
    """The exact gradient, the reset path included; a step takes O(B n^3 p), memory O(B n^2 p)."""
    return summed(_step, _rest(w, xs.shape[1]), w, xs, classes)


def _rest(w: Weights, batch: int) -> Influences:
    (lines, n), outputs, kind = w.w_in.shape, w.w_out.shape[1], w.w_in.dtype
    still = jnp.zeros((batch, n), kind)
    none = jnp.zeros((n, batch * (lines + n) * n), kind)
    readout = jnp.zeros((batch, outputs), kind)
    return Influences(still, still, still, readout, none, none, none, none, still)


def _step(w: Weights, c: Influences, x: Array, classes: Array) -> tuple[Influences, Array, Weights]:
    batch, lines, n = *x.shape, c.i.shape[1]
    seen = jnp.concatenate([x, c.z], axis=-1)
    i = ALPHA * c.i + x @ w.w_in + c.z @ w.w_rec
    v = BETA * c.v + i - c.z
    z = (v > 1.0).astype(v.dtype)
    own = jnp.eye(n, dtype=x.dtype)[:, None, None, :] * seen[None, :, :, None]
    g_i = ALPHA * c.g_i + w.w_rec.T @ c.g_z + own.reshape(n, -1)
    g_v = BETA * c.g_v + g_i - c.g_z
    slope = surrogate(v).T[:, :, None]  # (n, batch, 1)
    g_z = (slope * g_v.reshape(n, batch, -1)).reshape(n, -1)
    g_q = KAPPA * c.g_q + g_z
    readout, out = KAPPA * c.readout + z @ w.w_out, KAPPA * c.out + z
    loss, asked = error(readout, classes)
    signal = asked @ w.w_out.T
    inner = jnp.einsum("bl,lbw->w", signal, g_q.reshape(n, batch, -1)).reshape(-1, n)
    gradient = Weights(inner[:lines], inner[lines:], out.T @ asked)
    return Influences(i, v, z, readout, g_i, g_v, g_z, g_q, out), loss, gradient
