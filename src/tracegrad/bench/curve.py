"""curve: how time and memory grow along one size of a workload, and the exponents of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tracegrad.bench.workload import DENSITY, Given, Workload, given


class Point(NamedTuple):
    """A workload and the share of its inputs that spike."""

    work: Workload
    density: float = DENSITY

    def arrays(self) -> Given:
        """Its input and weights."""
        return given(self.work, self.density)


class Axis(NamedTuple):
    """A size that varies; the others are those of W1, in time a single sequence."""

    name: str
    label: str
    points: dict[int, Point] | dict[float, Point]


BASE = Workload(700, 256, 20, 100, 32)
AXES = {
    axis.name: axis
    for axis in (
        Axis(
            "hidden",
            "hidden neurons n",
            {n: Point(BASE._replace(hidden=n)) for n in (64, 256, 1024, 4096)},
        ),
        Axis(
            "batch",
            "sequences B",
            {b: Point(BASE._replace(batch=b)) for b in (1, 4, 16, 64, 256)},
        ),
        Axis(
            "steps",
            "steps T (batch 1)",
            {t: Point(BASE._replace(batch=1, steps=t)) for t in (100, 1000, 10_000, 100_000)},
        ),
        Axis(
            "density",
            "share of inputs that spike",
            {d: Point(BASE, d) for d in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)},
        ),
    )
}


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    r"""The $a$ of $y = c\,x^a$: least squares of the logarithms over the upper half of the points.

    Small sizes show fixed costs, so the half with the larger x is taken, two points at least.
    """
    if len(xs) < 2:
        raise ValueError(f"An exponent needs at least 2 points, got {len(xs)}. Measure more.")
    order = np.argsort(np.asarray(xs))
    upper = order[min(len(xs) // 2, len(xs) - 2) :]
    logs = np.log(np.asarray(xs, float)[upper]), np.log(np.asarray(ys, float)[upper])
    return float(np.polyfit(*logs, 1)[0])


def fastest(times: Mapping[int | float, Mapping[str, float]]) -> list[tuple[int | float, str]]:
    """Where a row takes over: the sizes from which on another row is the fastest."""
    changes: list[tuple[int | float, str]] = []
    for size in sorted(times):
        best = min(times[size], key=lambda row: times[size][row])
        if not changes or changes[-1][1] != best:
            changes.append((size, best))
    return changes
