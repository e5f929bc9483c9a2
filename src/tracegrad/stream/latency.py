"""Latency: how long steps waited for their prediction, of the last of them."""

from typing import NamedTuple

import numpy as np

KEPT = 8192  # steps


class Percentiles(NamedTuple):
    """Seconds from the end of a step to its prediction: half, 95 % and 99 % waited less."""

    p50: float
    p95: float
    p99: float


class Latency:
    """Keeps the last 8192 waiting times, so memory does not grow."""

    def __init__(self) -> None:
        self._seconds, self._seen = np.zeros(KEPT), 0

    def add(self, seconds: float) -> None:
        """One step more."""
        self._seconds[self._seen % KEPT] = seconds
        self._seen += 1

    def percentiles(self) -> Percentiles | None:
        """Of the last steps; None before there is one."""
        if not self._seen:
            return None
        seconds = self._seconds[: min(self._seen, KEPT)]
        return Percentiles(*map(float, np.percentile(seconds, (50, 95, 99))))
