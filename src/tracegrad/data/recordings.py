"""Recordings: sequences that are read from disk when a batch asks for them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int32

from tracegrad.data.encode import bin_events
from tracegrad.data.events import Events, microseconds
from tracegrad.data.task import AbstractSource, Batch, batch_sizes
from tracegrad.errors import UsageError


class Recording(NamedTuple):
    """One sequence of t steps: input, class of each step, weight of each step in the loss."""

    x: Float32[np.ndarray, "t m"]
    y: Int32[np.ndarray, "t"]
    weight: Float32[np.ndarray, "t"]


@dataclass(frozen=True)
class Recordings(AbstractSource):
    """`count` sequences of at most `steps` steps, each from a call `read(index)`.

    An epoch reads every recording once, in an order shuffled by index, and keeps none: memory is
    one batch, and a second pass reads from disk again. `read` must give the same for the same
    index.

        source = Recordings(read, count=60000, steps=70)
    """

    read: Callable[[int], Recording]
    count: int
    steps: int

    def __post_init__(self) -> None:
        """Refuse an empty epoch."""
        if self.count < 1 or self.steps < 1:
            raise UsageError(
                f"A source needs recordings and steps, got {self.count} and {self.steps}."
            )

    @property
    def size(self) -> int:
        """Number of recordings."""
        return self.count

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """One epoch: shuffled by `rng`, in recorded order without; read batch by batch."""
        order = np.arange(self.count) if rng is None else rng.permutation(self.count)
        ends = np.cumsum(batch_sizes(self.count, size))
        return (self._take(chosen).padded(size) for chosen in np.split(order, ends[:-1]))

    def _take(self, chosen: Int[np.ndarray, "B"]) -> Batch:
        parts = [self._read(int(index)) for index in chosen]
        number, lines = len(parts), parts[0].x.shape[1]
        batch = Batch(
            xs=np.zeros((self.steps, number, lines), np.float32),
            ys=np.zeros((self.steps, number), np.int32),
            weight=np.zeros((self.steps, number), np.float32),
            valid=np.zeros((self.steps, number), np.bool_),
        )
        for column, part in enumerate(parts):
            end = len(part.x)
            batch.xs[:end, column], batch.ys[:end, column] = part.x, part.y
            batch.weight[:end, column], batch.valid[:end, column] = part.weight, True
        return batch

    def _read(self, index: int) -> Recording:
        part = self.read(index)
        if not 1 <= len(part.x) <= self.steps:
            raise UsageError(
                f"Recording {index} must have 1 to {self.steps} steps, has {len(part.x)}. "
                "Raise steps."
            )
        return part


def one_class(x: Float32[np.ndarray, "t m"], label: int, quiet: int = 0) -> Recording:
    r"""The same class at every step, $1/(t-q)$ the weight from step q = `quiet` on, 0 before.

    A sequence that is over by then has weight 1 at its last step.
    """
    steps = len(x)
    start = min(quiet, steps - 1)
    weight = np.where(np.arange(steps) >= start, 1 / (steps - start), 0.0)
    return Recording(x, np.full(steps, label, np.int32), weight.astype(np.float32))


def binned(events: Events, dt: float, steps: int, where: str) -> Float32[np.ndarray, "t lines"]:
    """Event counts from the start to the step of the last event; at least one step.

    `UsageError` that names the recording (`where`) if it is longer than `steps`.
    """
    width = microseconds(dt, "dt")
    length = 1 + int(events.time[-1]) // width if len(events) else 1
    if length > steps:
        raise UsageError(
            f"{where} has events up to {events.time[-1] / 1e6:g} s, beyond {steps} steps of "
            f"{dt:g} s. Raise steps, or set cut."
        )
    return bin_events(events, dt, length)


def until(events: Events, dt: float, steps: int) -> Events:
    """The events of the first `steps` steps."""
    return events.before(microseconds(dt, "dt") * steps / 1e6)
