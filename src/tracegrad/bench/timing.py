"""timing: rows in turn, so that what disturbs the machine disturbs all of them."""

from collections.abc import Mapping

from tracegrad.bench.row import Row

LEAST = 3  # runs of every row


def timed(found: Mapping[str, Row], seconds: float, least: int = LEAST) -> dict[str, list[float]]:
    """Seconds of every run of every row, after one run to warm up.

    All rows together take `seconds`, each as much of it as the others, so slow rows run fewer
    times; but each runs `least` times.
    """
    times: dict[str, list[float]] = {name: [] for name in found}
    for row in found.values():
        row.run()
    while waiting := [
        name
        for name, taken in times.items()
        if sum(taken) < seconds / len(found) or len(taken) < least
    ]:
        for name in waiting:
            times[name].append(found[name].run())
    return times
