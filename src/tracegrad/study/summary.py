"""Summary: seeds and folds of a group as one line of a report, beside the same under BPTT."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracegrad.study.outcome import DONE
from tracegrad.study.statistics import Paired, Spread, paired, spread
from tracegrad.study.store import Results, Row
from tracegrad.study.study import REFERENCE, Goal

LEARNER = ("rule", "signal", "learning.update_every")  # what may differ between a pair


@dataclass(frozen=True)
class Summary:
    """A group: its settings, its rows, and what they come to (None where no cell is done).

    `paired` is the score less that of BPTT per seed; the score is the accuracy or, without one,
    the loss. `iterations` are batches until the goal was met, of the cells that met it. Groups that
    differ in their fold alone are one, and what else is said of seeds is then said of folds: of
    the mean over the seeds of each.
    """

    settings: dict[str, Any]
    rows: list[Row]
    accuracy: Spread | None
    loss: Spread | None
    paired: Paired | None
    microseconds: Spread | None
    memory: Spread | None
    rate: Spread | None
    iterations: Spread | None
    folds: int = 0

    @property
    def rule(self) -> str:
        """The rule, block_diagonal where the grid names none."""
        return self.settings.get("rule", "block_diagonal")

    @property
    def done(self) -> list[Row]:
        """The rows with numbers."""
        return [row for row in self.rows if row.outcome.status == DONE]

    @property
    def repeated(self) -> str:
        """How many times it was done, in words: seeds, or folds where the study has them."""
        return f"{self.folds} fold{'s' * (self.folds > 1)}" if self.folds else str(len(self.done))

    def share(self, number: int) -> str:
        """So many of the done cells, in words."""
        return f"{number} of {len(self.done)} {'cells' if self.folds else 'seeds'}"

    @property
    def score(self) -> Spread | None:
        """Accuracy, or loss where there is none."""
        return self.accuracy or self.loss

    @property
    def floors(self) -> dict[str, float]:
        """The floors of the task's loss."""
        return self.done[0].outcome.metrics["floors"] if self.done else {}


def summaries(results: Results) -> list[Summary]:
    """One summary a group of the plan that has rows, in the plan's order; folds of it are one."""
    folds = _folds(results.plan)
    lines: dict[str, tuple[dict[str, Any], list[Row]]] = {}
    for group in results.plan["groups"]:
        line = _without(group, folds)
        lines.setdefault(json.dumps(line), (line, []))
    for row in results.cells:
        lines[json.dumps(_without(row.settings, folds))][1].append(row)
    references = {
        _context(line): rows for line, rows in lines.values() if line.get("rule") == REFERENCE
    }
    return [
        _summary(line, rows, references.get(_context(line), []), results.plan)
        for line, rows in lines.values()
        if rows
    ]


def varying(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of settings that differ between groups, in their order."""
    names = dict.fromkeys(name for group in groups for name in group)
    return [name for name in names if len({repr(group.get(name)) for group in groups}) > 1]


def score(row: Row) -> float:
    """What a done row is judged by: accuracy, or loss where targets are values."""
    accuracy = row.outcome.metrics["accuracy"]
    return row.outcome.metrics["loss"] if accuracy is None else accuracy


def _folds(plan: Mapping[str, Any]) -> list[str]:
    return plan.get("folds", [])  # files of before there were folds have none


def _without(settings: Mapping[str, Any], folds: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in folds}


def _context(group: Mapping[str, Any]) -> str:
    """All settings but those of the learner: what a pair has in common."""
    kept = {n: v for n, v in group.items() if n not in LEARNER and not n.startswith("rule_options")}
    return json.dumps(kept, sort_keys=True)


def _summary(
    group: dict[str, Any], rows: list[Row], reference: list[Row], plan: Mapping[str, Any]
) -> Summary:
    goal = None if plan["goal"] is None else Goal(**plan["goal"])
    folds = _folds(plan)
    done = [row for row in rows if row.outcome.status == DONE]
    other = {_pair(row, folds): score(row) for row in reference if row.outcome.status == DONE}
    pairs = [row for row in done if _pair(row, folds) in other]
    differences = _repeated(pairs, folds, lambda row: score(row) - other[_pair(row, folds)])
    is_reference = group.get("rule") == REFERENCE
    reached = [] if goal is None else [_reached(row, goal) for row in done]

    def metric(name: str) -> Spread | None:
        known = done and all(row.outcome.metrics[name] is not None for row in done)
        return spread(_repeated(done, folds, lambda r: r.outcome.metrics[name])) if known else None

    return Summary(
        settings=group,
        rows=rows,
        accuracy=metric("accuracy"),
        loss=metric("loss"),
        paired=paired(differences) if differences and not is_reference else None,
        microseconds=metric("microseconds_per_step"),
        memory=metric("memory_bytes"),
        rate=metric("rate"),
        iterations=spread(met) if (met := [n for n in reached if n is not None]) else None,
        folds=len({_fold(row, folds) for row in done}) if folds else 0,
    )


def _fold(row: Row, folds: Sequence[str]) -> str:
    return json.dumps([row.settings[name] for name in folds])


def _pair(row: Row, folds: Sequence[str]) -> tuple[str, int]:
    """What a row has in common with its row of BPTT."""
    return _fold(row, folds), row.seed


def _repeated(
    rows: Iterable[Row], folds: Sequence[str], value: Callable[[Row], float]
) -> list[float]:
    """A value a seed or, where there are folds, a fold: the mean over its seeds."""
    found: dict[object, list[float]] = {}
    for row in rows:
        found.setdefault(_fold(row, folds) if folds else row.seed, []).append(value(row))
    return [sum(values) / len(values) for values in found.values()]


def _reached(row: Row, goal: Goal) -> int | None:
    """Batches until the first epoch after which the goal was met."""
    for epoch in row.outcome.curves:
        if goal.met(epoch["test_accuracy"], epoch["test_loss"]):
            return epoch["epoch"] * row.outcome.metrics["iterations"]
    return None
