"""References written by hand in JAX: what an expert would write for exactly this network.

`expert_bptt` takes the input currents as one product, runs a reverse scan written out, and takes
every weight gradient as one product after it. `stop_gradient` is the same without the recurrent
matrix on the way back: e-prop offline. `naive_eprop` carries a trace for every synapse and sample.
All return the loss and the gradient in the layout (from, to).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array
from workloads import ALPHA, BETA, KAPPA, SLOPE


class Weights(NamedTuple):
    """Three matrices, row index presynaptic."""

    w_in: Array
    w_rec: Array
    w_out: Array


Gradient = Callable[[Weights, Array, Array], tuple[Array, Weights]]


def _surrogate(v: Array) -> Array:
    return 1.0 / (1.0 + SLOPE * jnp.abs(v - 1.0)) ** 2


def _loss(readout: Array, classes: Array) -> Array:
    """Cross-entropy, a mean over steps and sequences."""
    logs = jax.nn.log_softmax(readout)
    picked = jnp.take_along_axis(
        logs, jnp.broadcast_to(classes[None, :, None], (*logs.shape[:2], 1)), -1
    )
    return -jnp.mean(picked)


def _filtered(values: Array, reverse: bool = False) -> Array:
    def body(carry: Array, value: Array) -> tuple[Array, Array]:
        carry = KAPPA * carry + value
        return carry, carry

    return jax.lax.scan(body, jnp.zeros_like(values[0]), values, reverse=reverse)[1]


def _product(values: Array, weight: Array) -> Array:
    return (values.reshape(-1, values.shape[-1]) @ weight).reshape(*values.shape[:2], -1)


def _forward(w: Weights, xs: Array) -> tuple[Array, Array]:
    """Membranes and spikes at every step, (T, B, n)."""
    still = jnp.zeros((xs.shape[1], w.w_rec.shape[0]), xs.dtype)

    def body(carry: tuple, current: Array) -> tuple[tuple, tuple]:
        i, v, z = carry
        i = ALPHA * i + current + z @ w.w_rec
        v = BETA * v + i - z
        z = (v > 1.0).astype(v.dtype)
        return (i, v, z), (v, z)

    return jax.lax.scan(body, (still, still, still), _product(xs, w.w_in))[1]


def _reverse(w: Weights, xs: Array, classes: Array, through: bool) -> tuple[Array, Weights]:
    vs, zs = _forward(w, xs)
    readout = _filtered(_product(zs, w.w_out))
    loss, error = jax.value_and_grad(_loss)(readout, classes)
    error = _filtered(error, reverse=True)
    signal, slope = _product(error, w.w_out.T), _surrogate(vs)
    still, back = jnp.zeros_like(vs[0]), w.w_rec.T

    def body(carry: tuple, now: tuple) -> tuple[tuple, Array]:
        d_v, d_i = carry
        asked, psi = now
        d_z = asked + d_i @ back if through else asked
        d_v = BETA * d_v + d_z * psi
        d_i = ALPHA * d_i + d_v
        return (d_v, d_i), d_i

    d_currents = jax.lax.scan(body, (still, still), (signal, slope), reverse=True)[1]
    before = jnp.concatenate([still[None], zs[:-1]])

    def flat(a: Array) -> Array:
        return a.reshape(-1, a.shape[-1])

    sides = ((xs, d_currents), (before, d_currents), (zs, error))
    return loss, Weights(*(flat(a).T @ flat(b) for a, b in sides))


def expert_bptt(w: Weights, xs: Array, classes: Array) -> tuple[Array, Weights]:
    """Exact, except for the detached reset."""
    return _reverse(w, xs, classes, through=True)


def stop_gradient(w: Weights, xs: Array, classes: Array) -> tuple[Array, Weights]:
    """Without the recurrent matrix on the way back."""
    return _reverse(w, xs, classes, through=False)


class Traces(NamedTuple):
    """States, presynaptic traces (B, m + n), filtered eligibility (B, n, m + n) and output."""

    i: Array
    v: Array
    z: Array
    readout: Array
    pre_i: Array
    pre_v: Array
    eligible: Array
    out: Array


def traces(batch: int, lines: int, hidden: int, classes: int) -> Traces:
    """All zero."""
    still = jnp.zeros((batch, hidden))
    pre = jnp.zeros((batch, lines + hidden))
    eligible = jnp.zeros((batch, hidden, lines + hidden))
    return Traces(still, still, still, jnp.zeros((batch, classes)), pre, pre, eligible, still)


def eprop_step(w: Weights, c: Traces, x: Array, classes: Array) -> tuple[Traces, Array, Weights]:
    """One step of e-prop, online: traces, loss and the gradient of this step's loss."""
    seen = jnp.concatenate([x, c.z], axis=-1)
    i = ALPHA * c.i + x @ w.w_in + c.z @ w.w_rec
    v = BETA * c.v + i - c.z
    z = (v > 1.0).astype(v.dtype)
    readout = KAPPA * c.readout + z @ w.w_out
    pre_i = ALPHA * c.pre_i + seen
    pre_v = BETA * c.pre_v + pre_i
    eligible = KAPPA * c.eligible + _surrogate(v)[:, :, None] * pre_v[:, None, :]
    out = KAPPA * c.out + z
    batch = x.shape[0]
    loss = -jnp.mean(jax.nn.log_softmax(readout)[jnp.arange(batch), classes])
    error = (jax.nn.softmax(readout) - jax.nn.one_hot(classes, readout.shape[-1])) / batch
    inner = jnp.einsum("bn,bnm->mn", error @ w.w_out.T, eligible)
    lines = x.shape[-1]
    gradient = Weights(inner[:lines], inner[lines:], out.T @ error)
    return Traces(i, v, z, readout, pre_i, pre_v, eligible, out), loss, gradient


def naive_eprop(w: Weights, xs: Array, classes: Array) -> tuple[Array, Weights]:
    """A trace per synapse and sample, pushed at every step; one gradient at the end."""

    def body(carry: tuple, x: Array) -> tuple[tuple, None]:
        c, total, loss = carry
        c, here, gradient = eprop_step(w, c, x, classes)
        return (c, jax.tree.map(jnp.add, total, gradient), loss + here), None

    start = traces(xs.shape[1], w.w_in.shape[0], *w.w_out.shape)
    zero = jax.tree.map(jnp.zeros_like, w)
    (_, total, loss), _ = jax.lax.scan(body, (start, zero, jnp.zeros(())), xs)
    steps = xs.shape[0]
    return loss / steps, jax.tree.map(lambda g: g / steps, total)


REFERENCES: dict[str, Gradient] = {
    "expert BPTT": expert_bptt,
    "stop-gradient": stop_gradient,
    "naive e-prop": naive_eprop,
}


def training_step(gradient: Gradient, optimiser: Any) -> Callable[..., tuple]:
    """Gradient and update, to compile."""

    def step(w: Weights, memory: Any, xs: Array, classes: Array) -> tuple[Weights, Any, Array]:
        loss, g = gradient(w, xs, classes)
        changes, memory = optimiser.update(g, memory, w)
        return jax.tree.map(jnp.add, w, changes), memory, loss

    return step
