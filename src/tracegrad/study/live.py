"""Live: how a study stands, as a table that renews itself, or a line a cell without a terminal."""

import time
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tracegrad.study.agenda import Agenda
from tracegrad.study.crew import Crew, Member
from tracegrad.study.outcome import Outcome
from tracegrad.study.store import Job
from tracegrad.study.study import label


class Board:
    """Shows agenda and crew on a console."""

    def __init__(self, console: Console, agenda: Agenda, crew: Crew):
        """Time left is the mean time a cell took in this run, for what is left, by all workers."""
        self.console, self.agenda, self.crew = console, agenda, crew
        self.began, self.before = time.monotonic(), agenda.finished
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Board":
        """Begin to show."""
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._live.stop()

    def show(self) -> None:
        """Draw anew, on a terminal."""
        if self.console.is_terminal:
            self._live.update(self._table(), refresh=True)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A line for a cell that ended."""
        name = f"{job.kind} {label(job.settings | job.tuned)}, seed {job.cell.config.seed}"
        told = outcome.sentence or _score(outcome)
        self.console.print(
            f"[{self.agenda.finished}/{self.agenda.total}] {outcome.status} in "
            f"{outcome.seconds:.0f} s: {name}: {told}",
            highlight=False,
            markup=False,
        )

    @property
    def seconds_left(self) -> float | None:
        """A guess of the time left, None before a cell ended in this run."""
        ended = self.agenda.finished - self.before
        if ended == 0:
            return None
        left = self.agenda.total - self.agenda.finished
        return left * (time.monotonic() - self.began) / ended

    def _table(self) -> Table:
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self.agenda.counts.items()))
        left = self.seconds_left
        rest = "" if left is None else f", about {_duration(left)} left"
        table = Table(
            title=f"{self.agenda.finished} of {self.agenda.total} cells ({counts or 'none'}){rest}",
            box=SIMPLE_HEAD,
        )
        for name in ("running", "epoch", "test", "time"):
            table.add_column(name, justify="left" if name == "running" else "right")
        for member in self.crew.busy:
            table.add_row(*_cells(member))
        return table


def _cells(member: Member) -> tuple[str, ...]:
    job = member.job
    assert job is not None
    last = member.epochs[-1] if member.epochs else None
    epochs = job.cell.config.learning.epochs
    if last is None:
        score = "compiling"
    elif last.test_accuracy is None:
        score = f"{last.test_loss:.4g}"
    else:
        score = f"{last.test_accuracy:.1%}"
    name = f"{job.kind} {label(job.settings | job.tuned)}, seed {job.cell.config.seed}"
    return name, f"{len(member.epochs)}/{epochs}", score, _duration(member.seconds)


def _score(outcome: Outcome) -> str:
    accuracy, loss = outcome.metrics["accuracy"], outcome.metrics["loss"]
    return f"loss {loss:.4g}" if accuracy is None else f"accuracy {accuracy:.1%}, loss {loss:.4g}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
