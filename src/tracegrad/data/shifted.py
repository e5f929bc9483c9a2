"""Shifted: sequences on a map, moved by some pixels at random each time they are shown."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from tracegrad.data.task import AbstractSource, Batch
from tracegrad.errors import UsageError


@dataclass(frozen=True, eq=False)
class Shifted(AbstractSource):
    """The sequences of `source`, each moved by up to `most` rows and columns; drawn without bias.

    Lines are a map of `shape` (channels, rows, columns) in C order. What leaves the map is lost,
    and silence comes in. Without a random generator the sequences are as they are.
    """

    source: AbstractSource
    shape: tuple[int, int, int]
    most: int

    def __post_init__(self) -> None:
        """Refuse a shift by as much as the map."""
        if not 0 < self.most < min(self.shape[1:]):
            raise UsageError(
                f"A shift must be at least 1 pixel and less than the map of {self.shape[1]} x "
                f"{self.shape[2]}, got {self.most}."
            )

    @property
    def size(self) -> int:
        """Number of sequences."""
        return self.source.size

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """One epoch; order and shifts are drawn by `rng`."""
        batches = self.source.batches(size, rng)
        return batches if rng is None else (self._moved(batch, rng) for batch in batches)

    def _moved(self, batch: Batch, rng: np.random.Generator) -> Batch:
        xs = np.zeros_like(batch.xs)
        for column in range(xs.shape[1]):
            down, right = rng.integers(-self.most, self.most + 1, size=2)
            xs[:, column] = self._one(batch.xs[:, column], int(down), int(right))
        return batch._replace(xs=xs)

    def _one(self, x: Shaped[np.ndarray, "T m"], down: int, right: int) -> np.ndarray:
        seen = x.reshape(len(x), *self.shape)
        moved = np.zeros_like(seen)
        (to_row, row), (to_column, column) = _overlap(down), _overlap(right)
        moved[:, :, to_row, to_column] = seen[:, :, row, column]
        return moved.reshape(x.shape)


def _overlap(by: int) -> tuple[slice, slice]:
    """Where what stays goes to and comes from, along one axis."""
    return slice(max(by, 0), by if by < 0 else None), slice(max(-by, 0), -by if by > 0 else None)
