"""weights: the parameters of the references, and the pieces that all of them share."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.bench.workload import SLOPE, Given


class Weights(NamedTuple):
    """Three matrices, row index presynaptic."""

    w_in: Float[Array, "m n"]
    w_rec: Float[Array, "n n"]
    w_out: Float[Array, "n o"]


Gradient = Callable[[Weights, Array, Array], tuple[Array, Weights]]


def weights(arrays: Given) -> Weights:
    """Those of a workload."""
    return Weights(*map(jnp.asarray, (arrays.w_in, arrays.w_rec, arrays.w_out)))


def surrogate(v: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""SuperSpike, $(1 + 25|v - 1|)^{-2}$, v in units of the threshold."""
    return 1.0 / (1.0 + SLOPE * jnp.abs(v - 1.0)) ** 2


def cross_entropy(
    readout: Float[Array, "time batch o"], classes: Int[Array, " batch"]
) -> Float[Array, ""]:
    """A mean over steps and sequences."""
    logs = jax.nn.log_softmax(readout)
    picked = jnp.take_along_axis(
        logs, jnp.broadcast_to(classes[None, :, None], (*logs.shape[:2], 1)), -1
    )
    return -jnp.mean(picked)


def error(
    readout: Float[Array, "batch o"], classes: Int[Array, " batch"]
) -> tuple[Float[Array, ""], Float[Array, "batch o"]]:
    """Cross-entropy of one step, a mean over sequences, and its derivative."""
    batch, outputs = readout.shape
    loss = -jnp.mean(jax.nn.log_softmax(readout)[jnp.arange(batch), classes])
    target = jax.nn.one_hot(classes, outputs, dtype=readout.dtype)
    return loss, (jax.nn.softmax(readout) - target) / batch
