"""Curriculum: a task that grows harder as it is learned."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from tracegrad.data.checks import at_least
from tracegrad.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Curriculum(Generic[T]):
    """Where a task stands: `level` of `highest`, and the loss (bits) below which it grows.

    `make(level)` is the task of another level; all levels have the same shapes.

        harder = task.curriculum.after(loss)  # the task one level up, or None: go on with this one
    """

    level: int
    highest: int
    threshold: float
    make: Callable[[int], T]

    def __post_init__(self) -> None:
        """Refuse levels out of order."""
        at_least(1, level=self.level)
        if self.level > self.highest or not self.threshold > 0:
            raise UsageError(
                f"level must be at most highest = {self.highest} and threshold positive, got "
                f"{self.level} and {self.threshold}."
            )

    def after(self, loss: float) -> T | None:
        """The task one level up where a mean loss (nats) is below the threshold, else None."""
        if loss / np.log(2.0) >= self.threshold or self.level == self.highest:
            return None
        return self.make(self.level + 1)
