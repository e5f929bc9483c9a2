"""Table: runs side by side, and lists of what there is."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tracegrad.run.folder import Summary


def print_runs(console: Console, summaries: Sequence[Summary]) -> None:
    """One line a run: rule, updates, outcome, spike rate, cost; then the floors of the loss.

    The outcome is the test accuracy, or the loss where there is none; with floors it is both.
    """
    shown = [name for name, column in COLUMNS.items() if column.shown(summaries)]
    tasks = ", ".join(sorted({summary.task for summary in summaries}))
    table = Table(
        title=f"{tasks}: test set, and cost of the learner", box=SIMPLE_HEAD, pad_edge=False
    )
    for name in shown:
        words = name in ("rule", "updates")
        table.add_column(name, justify="left" if words else "right", no_wrap=True)
    for summary in summaries:
        table.add_row(*(COLUMNS[name].text(summary) for name in shown))
    console.print(table)
    for task, floors in {s.task: s.floors for s in summaries if s.floors}.items():
        listed = ", ".join(f"{value:.4f} {name}" for name, value in floors.items())
        console.print(f"Floors of the loss of {task}: {listed}.", highlight=False)


class Column(NamedTuple):
    """A column: the text of a run, and whether it is shown beside these runs."""

    text: Callable[[Summary], str]
    shown: Callable[[Sequence[Summary]], bool] = lambda summaries: True


def _classify(summaries: Sequence[Summary]) -> bool:
    return all(summary.accuracy is not None for summary in summaries)


COLUMNS = {
    "rule": Column(lambda run: run.rule),
    "updates": Column(lambda run: updates(run.update_every)),
    "level": Column(
        lambda run: "" if run.level is None else str(run.level),
        lambda runs: any(run.level is not None for run in runs),
    ),
    "accuracy": Column(lambda run: f"{run.accuracy:.1%}", _classify),
    "loss": Column(
        lambda run: f"{run.loss:.4g}",
        lambda runs: not _classify(runs) or any(run.floors for run in runs),
    ),
    "spike rate": Column(lambda run: f"{run.rate:.1%}"),
    "time/step": Column(lambda run: f"{run.microseconds_per_step:.0f} us"),
    "memory": Column(lambda run: size(run.memory_bytes)),
}


def print_list(entries: Iterable[tuple[str, str]]) -> None:
    """One line an entry: its name and what it is."""
    rows = list(entries)
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        print(f"{name:{width}}  {summary}")


def updates(every: int | None) -> str:
    """How often the weights change, in words."""
    if every is None:
        return "per sequence"
    return "every step" if every == 1 else f"every {every} steps"


def size(count: int) -> str:
    """A number of bytes for people, in powers of 1000."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"
