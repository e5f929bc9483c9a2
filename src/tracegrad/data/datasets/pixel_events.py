"""Pixel events: events of a camera, pooled over squares of pixels and counted in steps."""

from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float32

from tracegrad.data.checks import at_least
from tracegrad.data.events import Events
from tracegrad.data.recordings import binned, until
from tracegrad.errors import UsageError


@dataclass(frozen=True)
class PixelBinning:
    """Events of a camera of `side` x `side` pixels, counted in `steps` steps of `dt` seconds.

    Squares of `pool` x `pool` pixels count as one; at most `at_most` events of a line and step
    count. ON lines come first, then OFF, each row by row. A recording ends with the step of its
    last event; a longer one than `steps` is refused, or with `cut` loses its end.
    """

    side: int
    dt: float
    steps: int
    pool: int = 1
    at_most: int | None = None
    cut: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit."""
        at_least(1, side=self.side, steps=self.steps, pool=self.pool)
        if self.side % self.pool:
            raise UsageError(f"pool must divide the side of {self.side} pixels, got {self.pool}.")

    @property
    def lines(self) -> int:
        """Input lines: ON and OFF of every square."""
        return prod(self.shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The map that the lines are: polarities, rows, columns."""
        return (2, self.side // self.pool, self.side // self.pool)

    def __call__(self, events: Events, where: str) -> Float32[np.ndarray, "t lines"]:
        """Counts of one recording, named `where` in a message."""
        row, column = divmod(events.line, self.side)
        across = self.side // self.pool
        square = row // self.pool * across + column // self.pool
        pooled = Events(events.time, square, across**2, events.polarity)
        if self.cut:
            pooled = until(pooled, self.dt, self.steps)
        counts = binned(pooled, self.dt, self.steps, where)
        return counts if self.at_most is None else np.minimum(counts, np.float32(self.at_most))
