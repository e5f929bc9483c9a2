"""naive_eprop: e-prop with a trace for every synapse and sample, pushed at every step."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.bench.references.summed import summed
from tracegrad.bench.references.weights import Weights, error, surrogate
from tracegrad.bench.workload import ALPHA, BETA, KAPPA


class Traces(NamedTuple):
    """States, presynaptic traces, filtered eligibility and filtered output of each neuron."""

    i: Float[Array, "batch n"]
    v: Float[Array, "batch n"]
    z: Float[Array, "batch n"]
    readout: Float[Array, "batch o"]
    pre_i: Float[Array, "batch p"]
    pre_v: Float[Array, "batch p"]
    eligible: Float[Array, "batch n p"]
    out: Float[Array, "batch n"]


def traces(w: Weights, batch: int) -> Traces:
    """All zero; p = m + n."""
    (lines, hidden), outputs, kind = w.w_in.shape, w.w_out.shape[1], w.w_in.dtype

    def zero(*shape: int) -> Array:
        return jnp.zeros((batch, *shape), kind)

    still, pre = zero(hidden), zero(lines + hidden)
    eligible = zero(hidden, lines + hidden)
    return Traces(still, still, still, zero(outputs), pre, pre, eligible, still)


def eprop_step(
    w: Weights, c: Traces, x: Float[Array, "batch m"], classes: Int[Array, " batch"]
) -> tuple[Traces, Float[Array, ""], Weights]:
    """One step of e-prop, online: traces, loss and the gradient of this step's loss."""
    seen = jnp.concatenate([x, c.z], axis=-1)
    i = ALPHA * c.i + x @ w.w_in + c.z @ w.w_rec
    v = BETA * c.v + i - c.z
    z = (v > 1.0).astype(v.dtype)
    readout = KAPPA * c.readout + z @ w.w_out
    pre_i = ALPHA * c.pre_i + seen
    pre_v = BETA * c.pre_v + pre_i
    eligible = KAPPA * c.eligible + surrogate(v)[:, :, None] * pre_v[:, None, :]
    out = KAPPA * c.out + z
    loss, asked = error(readout, classes)
    inner = jnp.einsum("bn,bnm->mn", asked @ w.w_out.T, eligible)
    lines = x.shape[-1]
    gradient = Weights(inner[:lines], inner[lines:], out.T @ asked)
    return Traces(i, v, z, readout, pre_i, pre_v, eligible, out), loss, gradient


def naive_eprop(
    w: Weights, xs: Float[Array, "time batch m"], classes: Int[Array, " batch"]
) -> tuple[Float[Array, ""], Weights]:
    """One gradient at the end: that of `stop_gradient`; time and traffic O(T B n p)."""
    return summed(eprop_step, traces(w, xs.shape[1]), w, xs, classes)
