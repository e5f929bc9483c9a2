"""Changes: of a run's numbers, each written down before it is made, and made again."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tracegrad.data import Task
from tracegrad.errors import UsageError
from tracegrad.run.build import build_parts
from tracegrad.run.config import Config
from tracegrad.run.control import EVENTS, WANTED, offer, wanted
from tracegrad.run.disk import append, stamp
from tracegrad.run.keeper import complain
from tracegrad.run.numbers import LEARNING_RATE, adjustable_numbers
from tracegrad.run.train import Fits, Progress

RATE, NUMBER, REFUSED = "learning rate", "number", "refused"  # events in `events.jsonl`


class Change(NamedTuple):
    """From after this batch of this epoch on, this number has this value."""

    epoch: int
    batch: int
    name: str
    value: float

    @property
    def place(self) -> tuple[int, int]:
        """Where in the training."""
        return self.epoch, self.batch

    @property
    def line(self) -> dict[str, Any]:
        """As it is written down."""
        where = {"epoch": self.epoch, "batch": self.batch}
        if self.name == LEARNING_RATE:
            return {"event": RATE, **where, LEARNING_RATE: self.value}
        return {"event": NUMBER, **where, "name": self.name, "value": self.value}


class Refusal(NamedTuple):
    """What was asked for there and could not be."""

    epoch: int
    batch: int
    name: str
    value: float
    why: str


def changes(folder: Path) -> list[Change]:
    """The changes of a run, those of a number in the order of the training.

    A run that was resumed from before a change and changed otherwise went another way: what was
    written of that number at later places before is void. A line that was cut short was never
    heeded.
    """
    kept: list[Change] = []
    for said in _lines(folder):
        try:
            made = _change(said)
        except (ValueError, TypeError, KeyError, OverflowError):
            continue
        kept = _and(kept, made)
    return kept


def refusals(folder: Path) -> list[Refusal]:
    """What the run could not do, oldest first."""
    found = []
    for said in _lines(folder):
        try:
            if said["event"] == REFUSED:
                found.append(Refusal(*(said[name] for name in Refusal._fields)))
        except (TypeError, KeyError):
            continue
    return found


def offered_changes(
    folder: Path, config: Config, task: Task, warn: Callable[[str], None] = complain
) -> "Changes":
    """What may change is offered to who watches, and heeded when it is asked for."""
    may = adjustable_numbers(build_parts(config, task))
    try:
        offer(folder, may)
    except OSError as error:
        warn(f"{folder}: what may change cannot be told: {error.strerror}.")
    usual = {name: number.value for name, number in may.items()}
    return Changes(folder, usual | {LEARNING_RATE: config.learning.learning_rate}, warn)


def latest(made: list[Change], usual: Mapping[str, float]) -> dict[str, float]:
    """Every number as it was last made."""
    return dict(usual) | {change.name: change.value for change in made}


class Changes:
    """Asked after every batch whether a number changes there.

    It does where it was changed in an earlier life of the run, and where that is wanted now.
    """

    def __init__(
        self, folder: Path, usual: Mapping[str, float], warn: Callable[[str], None] = complain
    ):
        """`usual` are the numbers of the settings, the learning rate among them."""
        self.folder, self.usual, self.warn = folder, usual, warn
        self.changes, self.seen = changes(folder), 0

    def after(self, now: Progress, fits: Fits) -> dict[str, float] | None:
        """All that was changed so far, None if nothing changes here; costs one `stat`.

        What does not fit is refused with a sentence, which is written down too.
        """
        place = now.epoch, now.batch
        made = any(change.place == place for change in self.changes)
        asked_at = stamp(self.folder / WANTED)
        if asked_at != self.seen:
            self.seen = asked_at
            for name, value in self._wishes():
                change = Change(*place, name, value)
                made |= self._fits(change, fits) and self._written(change)
        return self._so_far(place) if made else None

    def again(self, now: Progress, numbers: Mapping[str, float]) -> None:
        """Write down what was changed in another folder, from where this one goes on."""
        for name, value in numbers.items():
            self._written(Change(now.epoch, now.batch, name, value))

    def _wishes(self) -> list[tuple[str, float]]:
        """What is wanted and neither so nor yet to be made again."""
        wish = wanted(self.folder, self.warn)
        rate = {} if wish.learning_rate is None else {LEARNING_RATE: wish.learning_rate}
        last = latest(self.changes, self.usual)
        return [one for one in {**rate, **wish.numbers}.items() if last.get(one[0]) != one[1]]

    def _so_far(self, place: tuple[int, int]) -> dict[str, float]:
        return {one.name: one.value for one in self.changes if one.place <= place}

    def _fits(self, change: Change, fits: Fits) -> bool:
        """Whether the training can go on with it, besides all that was changed before."""
        try:
            fits(self._so_far(change.place) | {change.name: change.value})
        except UsageError as error:
            said = Refusal(*change, str(error))
            self._append({"event": REFUSED, **said._asdict()})
            self.warn(f"{change.name} does not become {change.value:g}. {error}")
            return False
        return True

    def _written(self, change: Change) -> bool:
        """Whether it lies on the disk, so that a resumed run makes it again at the same place."""
        if not self._append(change.line):
            return False
        self.changes = _and(self.changes, change)
        return True

    def _append(self, line: dict[str, Any]) -> bool:
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        path = self.folder / EVENTS
        try:
            cut = path.is_file() and not path.read_bytes().endswith(b"\n")
            text = json.dumps({"time": when} | line)
            append(path, (b"\n" if cut else b"") + text.encode() + b"\n")
        except OSError as error:
            self.warn(f"{path} cannot be written: {error.strerror}. The learner stays as it is.")
            return False
        return True


def _and(kept: list[Change], made: Change) -> list[Change]:
    """One change more, and those of its number that it makes void are gone."""
    return [one for one in kept if one.name != made.name or one.place < made.place] + [made]


def _lines(folder: Path) -> list[Any]:
    path, found = folder / EVENTS, []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line, parse_constant=_no_number))
        except (ValueError, RecursionError):
            continue
    return found


def _no_number(text: str) -> float:
    raise ValueError(text)


def _change(said: Any) -> Change:
    """What a line says of a change; an error of some kind where it says none."""
    where = int(said["epoch"]), int(said["batch"])
    if said["event"] == RATE:
        return Change(*where, LEARNING_RATE, float(said[LEARNING_RATE]))
    if said["event"] == NUMBER:
        return Change(*where, str(said["name"]), float(said["value"]))
    raise ValueError(said["event"])
