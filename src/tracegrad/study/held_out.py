"""Held out: part of a training set in place of the test set, for tuning."""

from dataclasses import replace

import numpy as np

from tracegrad.data import Sampler, Sequences, Task
from tracegrad.errors import UsageError

SEED = 2  # tasks draw their examples with 0 and their test sets with 1
FIFTH = 5


def held_out(task: Task) -> Task:
    """The task, tested on new draws or on every fifth training sequence, which is not trained on.

    The test set is out of reach. `UsageError` where the training set can be neither drawn anew nor
    split.
    """
    train = task.train
    if isinstance(train, Sampler):
        return replace(task, test=replace(train, count=task.test.size, seed=SEED))
    if isinstance(train, Sequences):
        kept = np.arange(train.size) % FIFTH == FIFTH - 1
        if kept.any():
            return replace(task, train=_some(train, ~kept), test=_some(train, kept))
    raise UsageError(
        f"Tuning holds out part of the training set, and that of {task.name} cannot be split. "
        "Leave tuning out."
    )


def _some(source: Sequences, chosen: np.ndarray) -> Sequences:
    return replace(
        source,
        counts=source.counts[chosen],
        lengths=source.lengths[chosen],
        labels=source.labels[chosen],
    )
