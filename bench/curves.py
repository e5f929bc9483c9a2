"""How do time and memory grow with n, B, T and the share of spikes, and which plan is the fastest?

A point is left out, and said to be, when the compiled program needs more than `--memory` or its
first run takes longer than `--limit`. `memory_mib` is what XLA plans beyond the input.
"""

import argparse
import json
import statistics
from functools import partial
from typing import NamedTuple

import jax
import optax
import result

from tracegrad.bench.curve import AXES, Point
from tracegrad.bench.disturbance import Disturbance
from tracegrad.bench.learners import Learning, chunk, events, learner_row, window_of
from tracegrad.bench.row import Row
from tracegrad.bench.rows import MakeRow, reference
from tracegrad.bench.timing import timed
from tracegrad.bench.workload import LEARNING_RATE, Given
from tracegrad.learn.rules import eprop

TAPE = 12  # numbers that reverse mode keeps for a neuron, step and sample at most


def makers(point: Point, arrays: Given) -> dict[str, MakeRow]:
    """What is compared at every point; online rows update at every step."""
    learning = Learning(eprop(), optax.adam(LEARNING_RATE))
    every = point.work._replace(every=1)
    found: dict[str, MakeRow] = {"expert BPTT": partial(reference, "expert BPTT", arrays)}
    for name, plan in (("chunk", chunk), ("events", events)):
        found[name] = partial(learner_row, learning._replace(plan=plan), point.work, arrays)
    if point.work.batch == 1:
        windowed = learning._replace(plan=window_of(events))
        if point.work.steps >= 1000:
            found["window of events"] = partial(learner_row, windowed, point.work, arrays)
        found["step, an update at every step"] = partial(learner_row, learning, every, arrays)
    return found


class Found(NamedTuple):
    """The rows that fit, the bytes of all that were compiled, and why the others do not fit."""

    rows: dict[str, Row]
    memory: dict[str, int]
    left: dict[str, str]


def ready(makers: dict[str, MakeRow], gigabytes: float, seconds: float) -> Found:
    """Compile all, and run once what has the memory to."""
    found = Found({}, {}, {})
    for name, make in makers.items():
        row = make()
        found.memory[name] = row.memory
        if row.memory > gigabytes * 1e9:
            found.left[name] = f"needs {row.memory / 1e9:.1f} GB"
        elif (took := row.run()) > seconds:
            found.left[name] = f"takes {took:.0f} s"
        else:
            found.rows[name] = row
    return found


def at(point: Point, options: argparse.Namespace) -> dict:
    """Times, memory and what was left out at a point."""
    work = point.work
    planned = 4e-9 * work.steps * work.batch * (work.lines + TAPE * work.hidden)
    if planned > options.memory:
        return {"left_out": {"all": f"would need {planned:.1f} GB"}}
    arrays = point.arrays()
    found = ready(makers(point, arrays), options.memory, options.limit)
    watch = Disturbance()
    times = timed(found.rows, options.seconds) if found.rows else {}
    inputs = arrays.xs.nbytes
    return {
        "ms": {name: 1e3 * statistics.median(t) for name, t in times.items()},
        "memory_mib": {name: (size - inputs) / 2**20 for name, size in found.memory.items()},
        "left_out": found.left,
        "others": watch.share(),
    }


def kept(axes: list[str]) -> list[dict]:
    """Rows of other axes from the same commit."""
    path = result.FOLDER / "curves.json"
    content = json.loads(path.read_text()) if path.is_file() else {"commit": "", "rows": []}
    same = content["commit"] == result.COMMIT
    return [row for row in content["rows"] if same and row["axis"] not in axes]


def main() -> None:
    """Every point of the axes named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("axes", nargs="*", default=[*AXES])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each point")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds of a first run")
    parser.add_argument("--memory", type=float, default=4.0, help="gigabytes of a program")
    options = parser.parse_args()
    rows = kept(options.axes)
    for name in options.axes:
        for value, point in AXES[name].points.items():
            about = {"axis": name, "value": value, "point": point.work._asdict()}
            rows.append(about | {"density": point.density} | at(point, options))
            print({k: v for k, v in rows[-1].items() if k != "point"}, flush=True)
            jax.clear_caches()
            budgets = {n: getattr(options, n) for n in ("seconds", "limit", "memory")}
            result.write("curves", budgets, rows)


if __name__ == "__main__":
    main()
