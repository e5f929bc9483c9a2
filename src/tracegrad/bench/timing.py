"""timing: rows in turn, so that what disturbs the machine disturbs all of them."""

from collections.abc import Mapping

from tracegrad.bench.row import Row

LEAST = 3  # runs of every row
TURN = 0.1  # seconds: in a training, too, a step comes after one of the same, and finds its caches


def timed(found: Mapping[str, Row], seconds: float, least: int = LEAST) -> dict[str, list[float]]:
    """Seconds of every run of every row, after one run to warm up.

    A row's turn lasts `TURN` seconds, or one run where that takes longer. All rows together take
    `seconds`, each as much of it as the others, so slow rows run fewer times; but each runs `least`
    times.
    """
    times: dict[str, list[float]] = {name: [] for name in found}
    spent = dict.fromkeys(found, 0.0)

    def waits(name: str) -> bool:
        return spent[name] < seconds / len(found) or len(times[name]) < least

    for row in found.values():
        row.run()
    while waiting := [name for name in found if waits(name)]:
        for name in waiting:
            end = spent[name] + TURN
            while spent[name] < end and waits(name):
                times[name].append(found[name].run())
                spent[name] += times[name][-1]
    return times
