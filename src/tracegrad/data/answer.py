"""Answer: batches whose labels count in a window of steps."""

import numpy as np
from jaxtyping import Bool, Float, Integer

from tracegrad.data.task import Batch


def answer_at_end(
    xs: Float[np.ndarray, "T B m"] | Bool[np.ndarray, "T B m"],
    labels: Integer[np.ndarray, "B"],
    window: int,
) -> Batch:
    """One class a sequence, asked in the last `window` steps with weight 1/window each."""
    steps, batch, _ = xs.shape
    asked = np.zeros((steps, batch), dtype=bool)
    asked[-window:] = True
    return answers(xs, np.tile(labels, (steps, 1)), asked)


def answers(
    xs: Float[np.ndarray, "T B m"] | Bool[np.ndarray, "T B m"],
    labels: Integer[np.ndarray, "T B"],
    asked: Bool[np.ndarray, "T B"],
) -> Batch:
    """A class for each step; the weights of a sequence's `asked` steps are equal and sum to 1."""
    return Batch(
        xs=np.ascontiguousarray(xs, dtype=np.float32),
        ys=labels.astype(np.int32),
        weight=(asked / asked.sum(axis=0)).astype(np.float32),
        valid=np.ones(asked.shape, dtype=bool),
    )


def frozen(
    xs: Float[np.ndarray, "T m"] | Bool[np.ndarray, "T m"],
    ys: Float[np.ndarray, "T o"] | Bool[np.ndarray, "T o"],
    batch: int,
) -> Batch:
    """One sequence and the values to reach in it, `batch` times; every step has weight 1."""
    sent, wanted = (np.repeat(a[:, None].astype(np.float32), batch, axis=1) for a in (xs, ys))
    ones = np.ones((len(xs), batch), dtype=np.float32)
    return Batch(sent, wanted, ones, ones.astype(bool))


def values(
    xs: Float[np.ndarray, "T B m"],
    ys: Float[np.ndarray, "T B o"],
    asked: Bool[np.ndarray, "T B"],
) -> Batch:
    """Values to reach; the weights of a sequence's `asked` steps are equal and sum to 1."""
    blank = np.zeros(asked.shape, dtype=np.int32)
    return answers(xs, blank, asked)._replace(ys=np.ascontiguousarray(ys, dtype=np.float32))
