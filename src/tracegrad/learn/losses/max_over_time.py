"""max_over_time: cross-entropy of the largest value each readout reaches."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from tracegrad.learn.loss import Loss, cross_entropy
from tracegrad.learn.regulariser import RateRegulariser


def _largest(y: Float[Array, "time batch o"], counts: Bool[Array, "time batch"]) -> Array:
    return jnp.max(jnp.where(counts[..., None], y, -jnp.inf), axis=0)


def max_over_time(rate: RateRegulariser | None = None) -> Loss:
    r"""Cross-entropy of $\max_ty_k^t$ over the labelled steps, and the class of the sequence.

    Not a sum over steps: which step counts is known at the end only. So it is for offline rules,
    and its gradient enters at one step for each readout (shared by ties). Targets: integers of
    shape (time, batch); the class is that of the step of largest weight. `rate` adds a rate
    regulariser. Source: Cramer et al. 2020 (the readout of the Heidelberg digits).
    """
    return cross_entropy(rate)._replace(over_time=_largest)
