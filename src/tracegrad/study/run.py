"""Run: a study from where it stands to its end."""

from typing import NamedTuple

from rich.console import Console

from tracegrad.errors import UsageError
from tracegrad.study.agenda import Agenda
from tracegrad.study.crew import Crew, Ended
from tracegrad.study.live import Board
from tracegrad.study.store import Store
from tracegrad.study.study import Study

TICK = 0.5  # seconds between two looks at the workers when nothing happens


class Way(NamedTuple):
    """How a study is run: worker processes, whether failed cells run again, where it is shown."""

    console: Console
    workers: int = 1
    retry: bool = False


def run_study(study: Study, store: Store, way: Way) -> None:
    """Run what is left of a study; it can be killed at any moment and called again.

    A cell is on disk as soon as it ends and never runs again; one that had not ended starts clean.
    The outcome of a cell depends on its settings alone, not on order or workers.
    """
    if way.workers < 1:
        raise UsageError(f"workers must be at least 1, got {way.workers}.")
    store.begin(study)
    agenda, crew = Agenda(study, store, way.retry), Crew(way.workers, study.seconds)
    try:
        with Board(way.console, agenda, crew) as board:
            while agenda.finished < agenda.total:
                _step(agenda, crew, board)
    finally:
        crew.stop()


def _step(agenda: Agenda, crew: Crew, board: Board) -> None:
    """Give out what can run, and take what has ended."""
    while crew.free and (job := agenda.take()) is not None:
        crew.start(job)
    for event in crew.wait(TICK):
        if isinstance(event, Ended):
            agenda.put(event.job, event.outcome)
            board.ended(event.job, event.outcome)
        else:
            agenda.lost(event.job, event.code)
    board.show()
