"""Losses: a sum over steps, each a function of the readout at that step."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Num

from tracegrad.learn.regulariser import RateRegulariser

StepLoss = Callable[[Float[Array, "batch o"], Num[Array, "batch *o"]], Float[Array, " batch"]]


class Loss(NamedTuple):
    """A loss of every step (one value per sample), and a regulariser of the rates."""

    at_step: StepLoss
    rate: RateRegulariser = RateRegulariser()


def _cross_entropy(
    y: Float[Array, "batch o"], target: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    if not jnp.issubdtype(target.dtype, jnp.integer) or target.ndim != y.ndim - 1:
        raise TypeError(
            f"cross_entropy needs integer class targets of shape {y.shape[:-1]}, got "
            f"{target.dtype} of shape {target.shape}. For real targets use mean_squared_error."
        )
    return optax.softmax_cross_entropy_with_integer_labels(y, target)


def cross_entropy(rate: RateRegulariser | None = None) -> Loss:
    r"""Cross-entropy $-\log\mathrm{softmax}(y)_{y^*}$ (nats) of a class index $y^*$ at every step.

    The error is $\mathrm{softmax}(y)-1_{y^*}$. Targets: integers of shape (batch,). `rate` adds a
    rate regulariser.
    """
    return Loss(_cross_entropy, rate or RateRegulariser())


def _squared_error(
    y: Float[Array, "batch o"], target: Float[Array, "batch o"]
) -> Float[Array, " batch"]:
    if not jnp.issubdtype(target.dtype, jnp.floating) or target.shape != y.shape:
        raise TypeError(
            f"mean_squared_error needs real targets of shape {y.shape}, got {target.dtype} of "
            f"shape {target.shape}. For class indices use cross_entropy."
        )
    return 0.5 * jnp.sum((y - target) ** 2, axis=-1)


def mean_squared_error(rate: RateRegulariser | None = None) -> Loss:
    r"""Squared error $\frac12\sum_k(y_k-y^*_k)^2$ at every step, with error $y-y^*$.

    Targets: reals of the shape of the readout. `rate` adds a rate regulariser.
    """
    return Loss(_squared_error, rate or RateRegulariser())


def loss_and_error(
    loss: Loss,
    y: Float[Array, "batch o"],
    target: Num[Array, "batch *o"],
    weight: Float[Array, " batch"],
) -> tuple[Float[Array, ""], Float[Array, "batch o"]]:
    r"""Weighted loss $\frac1B\sum_b w_b\ell_b$ of one step, and $\delta=\partial L/\partial y$."""
    weight = weight / weight.shape[0]
    values, back = jax.vjp(lambda y: loss.at_step(y, target), y)
    # A step of weight zero counts for nothing, even where the readout is not a number.
    return jnp.sum(jnp.where(weight == 0, 0.0, weight * values)), back(weight)[0]
