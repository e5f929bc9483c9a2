"""Stream: a task's training sequences, one after the other, as a device sees them."""

import numpy as np

from tracegrad.data import Task
from tracegrad.errors import UsageError
from tracegrad.export.device import Block
from tracegrad.export.parts import MOST_EVENTS


def stream(task: Task, steps: int) -> Block:
    """The first steps of the training sequences, which begin again after the last.

    Steps without weight in the loss have no class. `UsageError` for a task without classes and for
    input that is not counts of events.
    """
    if not task.classifies:
        raise UsageError(
            f"The device learns classes, and {task.name} has values for targets. Choose another "
            "task."
        )
    events, labels, found = [], [], 0
    while found < steps:
        for batch in task.train.batches(1, None):
            there = np.asarray(batch.valid)[:, 0]
            classes = np.broadcast_to(np.asarray(batch.ys), batch.weight.shape)
            used = np.where(np.asarray(batch.weight) > 0, classes, -1)
            events.append(np.asarray(batch.xs)[there, 0])
            labels.append(used[there, 0])
            found += int(there.sum())
            if found >= steps:
                break
    counts = np.concatenate(events)[:steps]
    if np.any(counts != np.round(counts)) or counts.min() < 0 or counts.max() > MOST_EVENTS:
        raise UsageError(
            f"The device counts 0 to {MOST_EVENTS} events on a line, and {task.name} has other "
            "input. Choose a task of events."
        )
    return Block(counts.astype(np.int64), np.concatenate(labels)[:steps].astype(np.int64))
