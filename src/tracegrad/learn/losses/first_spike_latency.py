"""first_spike_latency: cross-entropy of how soon each readout crosses its threshold."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from tracegrad.learn.loss import Loss, Score, cross_entropy
from tracegrad.learn.regulariser import RateRegulariser
from tracegrad.model.parameter import number


def first_spike_latency(
    threshold: float = 1.0,
    width: float = 0.1,
    steps: float = 10.0,
    rate: RateRegulariser | None = None,
) -> Loss:
    r"""Cross-entropy of $-t_k/\tau$: the readout of the right class shall cross first.

    $p_k^t=\sigma\big((y_k^t-\vartheta)/w\big),\quad t_k=\sum_t\prod_{s\le t}(1-p_k^s)$   (1)

    $p$ is the chance of a spike at a step, so $t_k$ is the expected number of labelled steps before
    the first: for a small `width` $w$ the latency itself, smooth otherwise, and the number of
    labelled steps for a readout that stays silent. $\tau$ is `steps` time steps; $\vartheta$ and
    $w$ in units of the readout. Not a sum over steps, so it is for offline rules. Targets: integers
    of shape (time, batch); the class is that of the step of largest weight.
    """
    threshold = number("threshold", threshold)
    width, steps = number("width", width), number("steps", steps)
    if width <= 0 or steps <= 0:
        raise ValueError(f"width and steps must be positive, got {width} and {steps}.")

    def soonest(y: Float[Array, "time batch o"], counts: Bool[Array, "time batch"]) -> Array:
        silent = jax.nn.log_sigmoid((threshold - y) / width)
        still = jnp.cumsum(jnp.where(counts[..., None], silent, 0.0), axis=0)
        latency = jnp.sum(jnp.where(counts[..., None], jnp.exp(still), 0.0), axis=0)
        return -latency / steps

    score: Score = soonest
    return cross_entropy(rate)._replace(over_time=score)
