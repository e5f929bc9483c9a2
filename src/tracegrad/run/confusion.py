"""Confusion: which class was taken for which."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tracegrad.data import Batch
from tracegrad.learn.loss import Loss, scores


def confusion(
    loss: Loss, outputs: Float[Array, "T B o"], batch: Batch, stepwise: bool
) -> Float[np.ndarray, "o o"] | None:
    """Sequences of a class (row) by the class they were taken for (column); None without classes.

    Its trace is what `count_right` counts. With `stepwise` every labelled step is an answer of its
    own and a sequence is shared out over its steps, as `share_right` does. A sequence that fills up
    a batch does not count.
    """
    if batch.ys.ndim == 3:
        return None
    count = outputs.shape[2]
    exists, weight = np.asarray(batch.valid), np.where(batch.valid, batch.weight, 0.0)
    if stepwise:
        total = weight.sum(axis=0)
        share = weight / np.where(total > 0, total, 1.0)
        label, answer = batch.ys, np.asarray(outputs).argmax(axis=2)
    else:
        answer = np.asarray(scores(loss, outputs, jnp.asarray(batch.weight, outputs.dtype)))
        share, answer = exists.any(axis=0).astype(float), answer.argmax(axis=1)
        label = batch.ys[batch.weight.argmax(axis=0), np.arange(len(share))]
    table = np.zeros((count, count))
    np.add.at(table, (label[share > 0], answer[share > 0]), share[share > 0])
    return table
