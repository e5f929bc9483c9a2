"""Study: a question, the groups of cells that answer it, and the budget of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tracegrad.study.cell import Cell, to_cell

REFERENCE = "bptt"


class Range(NamedTuple):
    """The values that tuning tries for a setting: reals from `low` to `high`, or one of `among`."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    among: tuple = ()


@dataclass(frozen=True)
class Tuning:
    """The tuning that every group gets: `trials` trainings of `epochs` each, on held-out data."""

    trials: int
    epochs: int | None
    parameters: Mapping[str, Range]


class Goal(NamedTuple):
    """What a training should reach on the test set: an accuracy or, where there is none, a loss."""

    accuracy: float | None = None
    loss: float | None = None

    def met(self, accuracy: float | None, loss: float) -> bool:
        """Whether these numbers reach it."""
        if self.accuracy is not None:
            return accuracy is not None and accuracy >= self.accuracy
        return self.loss is not None and loss <= self.loss


@dataclass(frozen=True)
class Study:
    """All that a study file says, for one size.

    A group is cells that differ in their seed alone: settings by dotted name. `seconds` is the
    longest that a cell may take. `folds` are settings whose values count as repetitions, as seeds
    do: another speaker or patient left out.
    """

    name: str
    question: str
    size: str
    text: str
    folder: Path
    groups: tuple[Mapping[str, Any], ...]
    seeds: int
    seconds: float
    tuning: Tuning | None = None
    goal: Goal | None = None
    folds: tuple[str, ...] = ()

    def cell(self, group: Mapping[str, Any], seed: int, tuned: Mapping[str, Any]) -> Cell:
        """The cell of a group with a seed and what tuning found for it."""
        return to_cell({**group, **tuned, "seed": seed}, self.place(group), self.folder)

    def trial(self, group: Mapping[str, Any], tried: Mapping[str, Any]) -> Cell:
        """The cell of a trial: seed 0, its own number of epochs, tested on held-out sequences."""
        assert self.tuning is not None
        epochs = {} if self.tuning.epochs is None else {"learning.epochs": self.tuning.epochs}
        settings = {**group, **tried, **epochs, "seed": 0}
        return to_cell(settings, self.place(group), self.folder, held_out=True)

    def place(self, group: Mapping[str, Any]) -> str:
        """Where a group is, in words."""
        return f"{self.name}, cell with {label(group)}"


def label(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
