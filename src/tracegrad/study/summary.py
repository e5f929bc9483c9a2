"""Summary: the seeds of a group as one line of a report, beside the same group under BPTT."""

import json
from collections.abc import Mapping, Sequence
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
    the loss. `iterations` are batches until the goal was met, of the seeds that met it.
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

    @property
    def rule(self) -> str:
        """The rule, block_diagonal where the grid names none."""
        return self.settings.get("rule", "block_diagonal")

    @property
    def done(self) -> list[Row]:
        """The rows with numbers."""
        return [row for row in self.rows if row.outcome.status == DONE]

    @property
    def score(self) -> Spread | None:
        """Accuracy, or loss where there is none."""
        return self.accuracy or self.loss

    @property
    def floors(self) -> dict[str, float]:
        """The floors of the task's loss."""
        return self.done[0].outcome.metrics["floors"] if self.done else {}


def summaries(results: Results) -> list[Summary]:
    """One summary a group of the plan that has rows, in the plan's order."""
    goal = None if results.plan["goal"] is None else Goal(**results.plan["goal"])
    groups = [(group, _rows(results, group)) for group in results.plan["groups"]]
    references = {_context(group): rows for group, rows in groups if group.get("rule") == REFERENCE}
    return [
        _summary(group, rows, references.get(_context(group), []), goal)
        for group, rows in groups
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


def _rows(results: Results, group: Mapping[str, Any]) -> list[Row]:
    return [row for row in results.cells if row.settings == group]


def _context(group: Mapping[str, Any]) -> str:
    """All settings but those of the learner: what a pair has in common."""
    kept = {n: v for n, v in group.items() if n not in LEARNER and not n.startswith("rule_options")}
    return json.dumps(kept, sort_keys=True)


def _summary(
    group: dict[str, Any], rows: list[Row], reference: list[Row], goal: Goal | None
) -> Summary:
    done = [row for row in rows if row.outcome.status == DONE]
    other = {row.seed: score(row) for row in reference if row.outcome.status == DONE}
    differences = [score(row) - other[row.seed] for row in done if row.seed in other]
    is_reference = group.get("rule") == REFERENCE
    reached = [] if goal is None else [_reached(row, goal) for row in done]
    return Summary(
        settings=group,
        rows=rows,
        accuracy=_metric(done, "accuracy"),
        loss=_metric(done, "loss"),
        paired=paired(differences) if differences and not is_reference else None,
        microseconds=_metric(done, "microseconds_per_step"),
        memory=_metric(done, "memory_bytes"),
        rate=_metric(done, "rate"),
        iterations=spread(met) if (met := [n for n in reached if n is not None]) else None,
    )


def _metric(done: list[Row], name: str) -> Spread | None:
    values = [row.outcome.metrics[name] for row in done]
    return spread(values) if values and None not in values else None


def _reached(row: Row, goal: Goal) -> int | None:
    """Batches until the first epoch after which the goal was met."""
    for epoch in row.outcome.curves:
        if goal.met(epoch["test_accuracy"], epoch["test_loss"]):
            return epoch["epoch"] * row.outcome.metrics["iterations"]
    return None
