"""event_lists: e-prop over lists of spikes, as gathers and scatters of XLA itself.

Another vehicle for events than the C of `Events`: what XLA offers without a compiler of our own.
Lists have a bound and are filled up with a line that has no weights, so a spike beyond the bound
would be lost: this serves to measure, not to learn.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.bench.references.reverse_mode import filtered, product
from tracegrad.bench.references.weights import Gradient, Weights, cross_entropy, surrogate
from tracegrad.bench.workload import ALPHA, BETA


class Bounds(NamedTuple):
    """Spikes of a step and sample at most: of the input, and of the hidden neurons."""

    incoming: int
    hidden: int


def listed(spikes: Float[Array, "*shape m"], bound: int) -> Int[Array, "*shape bound"]:
    """Lines of the spikes; the line m, which has no weights, where there are fewer."""
    m = spikes.shape[-1]
    flat = spikes.reshape(-1, m)
    lines = jax.vmap(lambda row: jnp.nonzero(row, size=bound, fill_value=m)[0])(flat)
    return lines.reshape(*spikes.shape[:-1], bound)


def event_lists(bounds: Bounds) -> Gradient:
    """The gradient of `stop_gradient`, from the lines of the input in place of its array.

    Time O(T B bound n) for the recurrent layer; what lies above it is dense. Memory O(T B n).
    """

    def gradient(w: Weights, lines: Array, classes: Array) -> tuple[Array, Weights]:
        n = w.w_rec.shape[0]
        w_in, w_rec = (jnp.pad(part, ((0, 1), (0, 0))) for part in (w.w_in, w.w_rec))
        still = jnp.zeros((lines.shape[1], n), w.w_in.dtype)

        def forward(carry: tuple, line: Array) -> tuple[tuple, tuple]:
            i, v, z, own = carry
            i = ALPHA * i + w_in[line].sum(1) + w_rec[own].sum(1)
            v = BETA * v + i - z
            z = (v > 1.0).astype(v.dtype)
            after = listed(z, bounds.hidden)
            return (i, v, z, after), (v, z, own)

        silent = jnp.full((lines.shape[1], bounds.hidden), n, lines.dtype)
        vs, zs, before = jax.lax.scan(forward, (still, still, still, silent), lines)[1]
        readout = filtered(product(zs, w.w_out))
        loss, asked = jax.value_and_grad(cross_entropy)(readout, classes)
        asked = filtered(asked, reverse=True)

        def back(carry: tuple, now: tuple) -> tuple[tuple, None]:
            d_v, d_i, d_in, d_rec = carry
            here, psi, line, own = now
            d_v = BETA * d_v + here * psi
            d_i = ALPHA * d_i + d_v
            rows = d_i[:, None]
            return (d_v, d_i, d_in.at[line].add(rows), d_rec.at[own].add(rows)), None

        start = (still, still, jnp.zeros_like(w_in), jnp.zeros_like(w_rec))
        seen = (product(asked, w.w_out.T), surrogate(vs), lines, before)
        _, _, d_in, d_rec = jax.lax.scan(back, start, seen, reverse=True)[0]
        d_out = zs.reshape(-1, n).T @ asked.reshape(-1, asked.shape[-1])
        return loss, Weights(d_in[:-1], d_rec[:-1], d_out)

    return gradient
