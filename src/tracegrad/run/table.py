"""Table: runs side by side, and lists of what there is."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tracegrad.run.folder import Summary


def print_runs(console: Console, summaries: Sequence[Summary]) -> None:
    """One line a run: rule, updates, test accuracy (or loss), spike rate, cost of the learner."""
    classifies = all(summary.accuracy is not None for summary in summaries)
    heads = ("rule", "updates", "accuracy" if classifies else "loss", "spike rate",
             "time/step", "memory")  # fmt: skip
    tasks = ", ".join(sorted({summary.task for summary in summaries}))
    table = Table(
        title=f"{tasks}: test set, and cost of the learner", box=SIMPLE_HEAD, pad_edge=False
    )
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index < 2 else "right", no_wrap=True)
    for summary in summaries:
        outcome = f"{summary.accuracy:.1%}" if classifies else f"{summary.loss:.4g}"
        table.add_row(
            summary.rule,
            updates(summary.update_every),
            outcome,
            f"{summary.rate:.1%}",
            f"{summary.microseconds_per_step:.0f} us",
            size(summary.memory_bytes),
        )
    console.print(table)


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
