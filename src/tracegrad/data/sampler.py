"""Sampler: sequences drawn anew from a random generator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tracegrad.data.task import AbstractSource, Batch, batch_sizes, joined
from tracegrad.errors import UsageError

Draw = Callable[[np.random.Generator, int], Batch]


@dataclass(frozen=True)
class Sampler(AbstractSource):
    """`count` sequences an epoch, each from a call `draw(rng, 1)`.

    With an `rng` every epoch is new. Without, it is always that of `default_rng(seed)`, the same
    sequences at every batch size: a fixed test set. Memory: one batch.

        source = Sampler(Evidence().sample, count=640)
    """

    draw: Draw
    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse an empty epoch."""
        if self.count < 1:
            raise UsageError(f"count must be at least 1 sequence an epoch, got {self.count}.")

    @property
    def size(self) -> int:
        """Number of sequences in an epoch."""
        return self.count

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """One epoch, drawn batch by batch."""
        stream = np.random.default_rng(self.seed) if rng is None else rng
        return (self._draw(held, stream).padded(size) for held in batch_sizes(self.size, size))

    def _draw(self, held: int, rng: np.random.Generator) -> Batch:
        return joined(self.draw(rng, 1) for _ in range(held))
