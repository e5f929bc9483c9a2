"""How near to what the machine can do is each row? Peaks of XLA, and what a row has to do at least.

The bound of a row is the longer of its operations at the peak of the matrix product and its bytes
at the peak of the copy. Events are bound by neither: they add rows, and their share says so.
"""

import argparse

import result

from tracegrad.bench import WORKLOADS, given, measure, rows
from tracegrad.bench.cost import ADAM, SGD, Cost, by_events, dense, every_step
from tracegrad.bench.disturbance import Disturbance
from tracegrad.bench.roofline import peaks, shares
from tracegrad.bench.workload import spikes

WORKS = ("W1", "W2", "W3")


def costs(name: str) -> dict[str, Cost]:
    """What each row that is counted has to do."""
    work = WORKLOADS[name]
    incoming, hidden = spikes(work, given(work))
    events = by_events(work, incoming, hidden)
    if work.every:
        return {
            "expert BPTT": dense(work, through_recurrence=True),
            "naive e-prop, Adam every step": every_step(work, traces=1, moments=ADAM),
            "naive e-prop, SGD every step": every_step(work, traces=1, moments=SGD),
            "eprop, Adam every step": every_step(work, traces=1, moments=ADAM),
            "block_diagonal, Adam every step": every_step(work, traces=3, moments=ADAM),
            "eprop, events": events,
        }
    products = dense(work, through_recurrence=False)
    return {
        "expert BPTT": dense(work, through_recurrence=True),
        "stop-gradient": products,
        "eprop, chunk": products,
        "block_diagonal, chunk": products,
        "eprop, events": events,
        "block_diagonal, events": events,
    }


def main() -> None:
    """Peaks first, then the rows of each workload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[*WORKS])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each workload")
    options = parser.parse_args()
    machine = peaks()
    print(machine, flush=True)
    kept = []
    for name in options.workloads:
        work, needs = WORKLOADS[name], costs(name)
        makers = {k: make for k, make in rows(name, work, given(work)).items() if k in needs}
        watch = Disturbance()
        found = measure(name, makers, options.seconds, print)
        others = watch.share()
        for row in found:
            cost = needs[row.row]
            share = shares(cost, row.ms / 1e3, machine)
            kept.append({"workload": name, "row": row.row, "ms": row.ms} | cost._asdict())
            kept[-1] |= {"shares": share, "others": others}
            print(kept[-1], flush=True)
        result.write("roofline", machine._asdict(), kept)


if __name__ == "__main__":
    main()
