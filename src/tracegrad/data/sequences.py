"""Sequences: recorded spike trains of different lengths, kept as small integers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer, UInt8

from tracegrad.data.task import AbstractSource, Batch, batch_sizes
from tracegrad.errors import UsageError


@dataclass(frozen=True, eq=False)
class Sequences(AbstractSource):
    r"""N recorded sequences with one class each; the label is repeated at every step.

    `counts` holds spike counts, zero from step `lengths[i]` on; `labels` lie in [0, classes). The
    weight of a step is $1/(\mathrm{length}-q)$ from step $q$ = `quiet` on and 0 before, so every
    sequence counts the same. Memory: N T m bytes, and so is a batch.

        source = Sequences(counts, lengths, labels, classes=10)
    """

    counts: UInt8[np.ndarray, "N T m"]
    lengths: Integer[np.ndarray, "N"]
    labels: Integer[np.ndarray, "N"]
    classes: int
    quiet: int = 0

    def __post_init__(self) -> None:
        """Check that the three arrays fit each other."""
        if self.counts.dtype != np.uint8 or self.counts.ndim != 3 or not len(self.counts):
            raise UsageError(
                "counts must be uint8 of shape (N, T, m) with N at least 1, got "
                f"{self.counts.dtype} {self.counts.shape}. Use compact()."
            )
        number, steps, _ = self.counts.shape
        for name, values, low, high in (
            ("lengths", self.lengths, 1, steps),
            ("labels", self.labels, 0, self.classes - 1),
        ):
            if values.shape != (number,) or not np.issubdtype(values.dtype, np.integer):
                raise UsageError(
                    f"{name} must be ({number},) integers, got {values.dtype} {values.shape}."
                )
            if values.min() < low or values.max() > high:
                raise UsageError(
                    f"{name} must lie in [{low}, {high}], got {values.min()} to {values.max()}."
                )
        if not 0 <= self.quiet < self.lengths.min():
            raise UsageError(
                f"quiet must lie in [0, {self.lengths.min()}), below every length, got "
                f"{self.quiet}."
            )
        beyond = np.arange(steps) >= self.lengths[:, None]
        if len(late := np.flatnonzero((self.counts.any(axis=2) & beyond).any(axis=1))):
            raise UsageError(f"Sequence {late[0]} has spikes after its end. Check lengths.")

    @property
    def size(self) -> int:
        """Number of sequences."""
        return len(self.counts)

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """One epoch: shuffled by `rng`, in recorded order without."""
        order = np.arange(self.size) if rng is None else rng.permutation(self.size)
        ends = np.cumsum(batch_sizes(self.size, size))
        return (self._take(chosen).padded(size) for chosen in np.split(order, ends[:-1]))

    def _take(self, chosen: Int[np.ndarray, "B"]) -> Batch:
        steps, length = self.counts.shape[1], self.lengths[chosen]
        step = np.arange(steps)[:, None]
        valid = step < length
        return Batch(
            xs=np.ascontiguousarray(self.counts[chosen].transpose(1, 0, 2)),
            ys=np.where(valid, self.labels[chosen], 0).astype(np.int32),
            weight=(valid & (step >= self.quiet)) / np.float32(length - self.quiet),
            valid=valid,
        )


def compact(counts: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Counts as uint8, refused where that would change a value."""
    small = (
        counts.astype(np.uint8) if counts.size and 0 <= counts.min() <= counts.max() < 256 else None
    )
    if small is None or not np.array_equal(small, counts):
        raise UsageError("Counts must be whole numbers in [0, 255]. Raise threshold or lower dt.")
    return small
