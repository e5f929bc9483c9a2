"""measure: a workload's rows, compiled, timed in turn, and put beside the base."""

import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tracegrad.bench.row import Row
from tracegrad.bench.rows import BASE, MakeRow
from tracegrad.bench.timing import LEAST, timed


class Measured(NamedTuple):
    """A row's median and shortest time, its ratio to the base, and what it needs."""

    workload: str
    row: str
    ms: float
    best_ms: float
    ratio: float
    runs: int
    memory_mib: float
    compile_s: float
    plan: str


def measure(
    workload: str,
    makers: Mapping[str, MakeRow],
    seconds: float,
    say: Callable[[str], None] = lambda text: None,
    least: int = LEAST,
) -> list[Measured]:
    """Compile every row, time all for `seconds` (at least), ratios to `BASE`; `say` progress."""
    found: dict[str, Row] = {}
    for label, make in makers.items():
        say(f"{workload}: compiling {label}")
        found[label] = make()
    say(f"{workload}: timing {len(found)} rows in turn")
    times = timed(found, seconds, least)
    base = statistics.median(times[BASE])
    return [_measured(workload, label, found[label], times[label], base) for label in found]


def _measured(workload: str, label: str, row: Row, times: list[float], base: float) -> Measured:
    median = statistics.median(times)
    return Measured(
        workload,
        label,
        1e3 * median,
        1e3 * min(times),
        median / base,
        len(times),
        row.memory / 2**20,
        row.compile_s,
        row.plan,
    )
