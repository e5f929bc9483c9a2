"""timing: rows in turn, so that what disturbs the machine disturbs all of them."""

import time
from collections.abc import Mapping

from tracegrad.bench.row import Row

LEAST = 3  # runs of every row
SHARE = 0.2  # of the time is as much as one row may take, once it has run often enough


def timed(found: Mapping[str, Row], seconds: float, least: int = LEAST) -> dict[str, list[float]]:
    """Seconds of every run of every row, after one run to warm up; slow rows run fewer times."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for row in found.values():
        row.run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < least:
        for name, row in found.items():
            if sum(times[name]) > SHARE * seconds and len(times[name]) >= least:
                continue
            times[name].append(row.run())
    return times
