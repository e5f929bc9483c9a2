"""bench: `tracegrad bench [WORK ...]`, a training step beside references written by hand."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import jax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tracegrad.bench import WORKLOADS, Measured, Workload, given, measure, origin, rows, write
from tracegrad.errors import UsageError
from tracegrad.run.options import parse

USUAL = ("W1", "W2", "W3")
SECONDS, QUICK = 20.0, 2.0  # of timing, for each workload


@dataclass(frozen=True)
class BenchOptions:
    """Time a training step of tracegrad in turn with references written by hand in JAX."""

    quick: bool = False
    """Time each workload for 2 seconds instead of 20: the order of things, not their ratio."""
    out: Path = Path("bench.json")
    """Write the numbers, with machine, versions and commit, to this JSON file."""


def bench(arguments: list[str]) -> None:
    """Measure workloads, print one table of each, and write one result file."""
    named = [*takewhile(lambda argument: not argument.startswith("-"), arguments)]
    options = parse(BenchOptions(), "bench [WORK ...]", arguments[len(named) :])
    works = {name: _workload(name) for name in named or USUAL}
    if options.out.suffix != ".json":
        raise UsageError(
            f"out must be a JSON file, got {options.out}. Give a name that ends in .json."
        )
    start, console, kept = origin(), Console(), []
    for name, work in works.items():
        makers = rows(name, work, given(work))
        seconds = QUICK if options.quick else SECONDS
        with jax.enable_x64(False):  # workloads are in float32, whatever is usual here
            found = measure(name, makers, seconds, lambda text: console.print(text, style="dim"))
        print_measured(console, work, found)
        kept += [row._asdict() for row in found]
        settings = {name: works[name]._asdict() for name in works} | {"seconds": seconds}
        write(options.out, start, settings, kept)
    print(f"Numbers: {options.out}")


def print_measured(console: Console, work: Workload, found: list[Measured]) -> None:
    """One line a row, with its ratio to expert BPTT; below, why each plan was chosen."""
    shape = f"{work.lines}-{work.hidden}-{work.classes}, {work.steps} steps, batch {work.batch}"
    title = f"{found[0].workload} ({shape}): one training step, medians"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    for head in ("row", "plan", "time", "x expert BPTT", "best", "memory", "compile"):
        justify = "left" if head in ("row", "plan") else "right"
        table.add_column(head, justify=justify, no_wrap=True)
    for row in found:
        table.add_row(
            row.row,
            row.plan.split(":")[0],
            f"{row.ms:.3g} ms",
            f"{row.ratio:.2f}",
            f"{row.best_ms:.3g} ms",
            f"{row.memory_mib:.0f} MiB",
            f"{row.compile_s:.1f} s",
        )
    console.print(table)
    for reason in _reasons(found):
        console.print(reason, highlight=False)


def _reasons(found: Iterable[Measured]) -> list[str]:
    """What the planner chose, and why; what was asked for needs no reason."""
    chosen = [row for row in found if ":" in row.plan and not row.plan.endswith("asked for")]
    return [f"{row.row} goes by {row.plan}." for row in chosen]


def _workload(name: str) -> Workload:
    if name not in WORKLOADS:
        raise UsageError(f"There is no workload {name}. There are {', '.join(WORKLOADS)}.")
    return WORKLOADS[name]
