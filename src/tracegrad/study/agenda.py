"""Agenda: what of a study is still to do, and in which order."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tracegrad.study.cell import Cell
from tracegrad.study.outcome import FAILED, REFUSED, Outcome
from tracegrad.study.propose import Trial, best, need_optuna, propose
from tracegrad.study.store import CELL, TRIAL, Job, Store
from tracegrad.study.study import Study

LIVES = 3  # a cell whose worker dies so often is to blame itself


class Agenda:
    """Hands out jobs and takes outcomes; what the store holds already is not handed out again."""

    def __init__(self, study: Study, store: Store, retry: bool = False):
        """With `retry` cells that failed before run again; others never do."""
        if study.tuning is not None:
            need_optuna()
        known = store.outcomes()
        self.store = store
        self.known = {d: o for d, o in known.items() if not (retry and o.status == FAILED)}
        self.deaths: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._ready: list[tuple[_Group, Job]] = []
        self._out: dict[str, _Group] = {}
        self._groups = [_Group(study, settings) for settings in study.groups]
        for group in self._groups:
            self._line_up(group)

    @property
    def total(self) -> int:
        """Cells and trials of the whole study, as far as is known now."""
        return sum(group.total for group in self._groups)

    @property
    def finished(self) -> int:
        """How many of them have ended, in this run or before."""
        return sum(self.counts.values())

    def take(self) -> Job | None:
        """The next job, of the lowest seed first; None where there is none to give out now."""
        if not self._ready:
            return None
        group, job = min(self._ready, key=lambda pair: pair[1].cell.config.seed)
        self._ready.remove((group, job))
        self._out[job.digest] = group
        return job

    def put(self, job: Job, outcome: Outcome) -> None:
        """Record an outcome, and line up what it makes possible."""
        self.store.add(job, outcome)
        group = self._out.pop(job.digest)
        self._note(group, job, outcome)
        if job.kind == TRIAL:
            self._line_up(group)

    def lost(self, job: Job, code: int | None) -> None:
        """A job whose process died starts clean, as often as `LIVES` allows."""
        self.deaths[job.digest] += 1
        if self.deaths[job.digest] < LIVES:
            self._ready.insert(0, (self._out.pop(job.digest), job))
            return
        sentence = f"Its worker process died {LIVES} times, the last with exit code {code}."
        self.put(job, Outcome(FAILED, sentence))

    def _line_up(self, group: "_Group") -> None:
        """Queue what a group can run now; what is known already is noted instead."""
        while not group.given:
            jobs = group.next()
            for job in jobs:
                if job.digest in self.known:
                    self._note(group, job, self.known[job.digest])
                else:
                    self._ready.append((group, job))
            if any(job.digest not in self.known for job in jobs):
                return

    def _note(self, group: "_Group", job: Job, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        if job.kind == TRIAL:
            group.note(job, outcome)


class _Group:
    """One group: its trials one after another, then its cells all at once."""

    def __init__(self, study: Study, settings: Mapping[str, Any]):
        self.study, self.settings = study, dict(settings)
        self.past: list[Trial] = []
        self.trials = 0 if study.tuning is None else study.tuning.trials
        self.given = False  # its cells are given out

    @property
    def total(self) -> int:
        return self.trials + self.study.seeds

    def next(self) -> list[Job]:
        """The next trial, or the cells with the best settings that were tried."""
        if len(self.past) < self.trials:
            assert self.study.tuning is not None
            tried = propose(self.study.tuning, self.settings, self.past)
            return [self._job(TRIAL, self.study.trial(self.settings, tried), tried)]
        self.given, tuned = True, best(self.past)
        cells = (self.study.cell(self.settings, n, tuned) for n in range(self.study.seeds))
        return [self._job(CELL, cell, tuned) for cell in cells]

    def note(self, job: Job, outcome: Outcome) -> None:
        """Take the score of a trial; a rule that refuses the network needs no more of them."""
        self.past.append(Trial(job.tuned, _score(outcome)))
        if outcome.status == REFUSED:
            self.trials = len(self.past)

    def _job(self, kind: str, cell: Cell, tuned: dict[str, Any]) -> Job:
        return Job(cell, cell.digest, kind, self.settings, tuned)


def _score(outcome: Outcome) -> float | None:
    """Accuracy on held-out sequences, or the loss with its sign turned; None without either."""
    if not outcome.metrics:
        return None
    accuracy = outcome.metrics["accuracy"]
    return -outcome.metrics["loss"] if accuracy is None else accuracy
