"""Losses: a sum over steps, or for offline rules a score of the whole sequence."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Num

from tracegrad.learn.regulariser import RateRegulariser
from tracegrad.model.network import Network

StepLoss = Callable[[Float[Array, "batch o"], Num[Array, "batch *o"]], Float[Array, " batch"]]
Score = Callable[[Float[Array, "time batch o"], Bool[Array, "time batch"]], Float[Array, "batch o"]]


class Loss(NamedTuple):
    """A loss of every step (one value per sample), and a regulariser of the rates.

    With `kernel` the targets first pass through the readout's own dynamics. With `over_time` the
    loss is that of one score for each readout and sequence, made of the steps that are labelled
    (weight above zero); it is no sum over steps.
    """

    at_step: StepLoss
    rate: RateRegulariser = RateRegulariser()
    kernel: bool = False
    over_time: Score | None = None

    def check(self, network: Network) -> None:
        """Refuse a network in which this loss is not defined."""
        names = jax.tree.leaves(network.names())
        learning = [
            n for n, on in zip(names, jax.tree.leaves(network.learning()), strict=True) if on
        ]
        moving = [name for name in learning if name.startswith("readout.neuron")]
        if self.kernel and moving:
            raise ValueError(
                f"The readout's kernel defines this distance and must stay, but {moving[0]} "
                "learns. Use network.freeze('readout.neuron.*')."
            )


def _require_classes(loss: str, y: Float[Array, "batch o"], target: Num[Array, "batch *o"]) -> None:
    if not jnp.issubdtype(target.dtype, jnp.integer) or target.ndim != y.ndim - 1:
        raise TypeError(
            f"{loss} needs integer class targets of shape {y.shape[:-1]}, got {target.dtype} of "
            f"shape {target.shape}. For real targets use mean_squared_error."
        )


def _cross_entropy(
    y: Float[Array, "batch o"], target: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    _require_classes("cross_entropy", y, target)
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


def _class_squared_error(
    y: Float[Array, "batch o"], target: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    _require_classes("class_squared_error", y, target)
    return _squared_error(y, jax.nn.one_hot(target, y.shape[-1], dtype=y.dtype))


def class_squared_error(rate: RateRegulariser | None = None) -> Loss:
    r"""Squared error $\frac12\sum_k(y_k-[k=y^*])^2$ to a class index $y^*$ at every step.

    The error $y-1_{y^*}$ needs no exponential, so a device without floating point can learn from
    it. Targets: integers of shape (batch,). `rate` adds a rate regulariser.
    """
    return Loss(_class_squared_error, rate or RateRegulariser())


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


def sequence_loss(
    loss: Loss,
    ys: Float[Array, "time batch o"],
    targets: Num[Array, "time batch *o"],
    weight: Float[Array, "time batch"],
) -> Float[Array, " batch"]:
    r"""Loss of whole sequences: $\sum_tw^t\ell(y^t,y^{*t})$, or of one score $\ell\sum_tw^t$.

    The one target of a score is that of the step of largest weight. A sequence without weight
    counts for nothing.
    """
    if loss.over_time is None:
        values = jax.vmap(loss.at_step)(ys, targets)
        return jnp.sum(jnp.where(weight == 0, 0.0, weight * values), axis=0)
    values = loss.at_step(scores(loss, ys, weight), _label(targets, weight))
    total = jnp.sum(weight, axis=0)
    return jnp.where(total == 0, 0.0, total * values)


def scores(
    loss: Loss, ys: Float[Array, "time batch o"], weight: Float[Array, "time batch"]
) -> Float[Array, "batch o"]:
    r"""What a class is decided by, the largest wins: $\sum_tw^ty^t$, or the loss's own score."""
    if loss.over_time is None:
        return jnp.sum(weight[..., None] * ys, axis=0)
    labelled = weight > 0
    # A sequence that only fills up a batch has no labelled step: its score must be a number.
    return loss.over_time(ys, labelled | ~jnp.any(labelled, axis=0, keepdims=True))


def _label(
    targets: Num[Array, "time batch *o"], weight: Float[Array, "time batch"]
) -> Num[Array, "batch *o"]:
    return targets[jnp.argmax(weight, axis=0), jnp.arange(weight.shape[1])]
