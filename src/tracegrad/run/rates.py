"""Rates: changes of a run's learning rate, each written down before it is made, and made again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tracegrad.run.control import EVENTS, WANTED, wanted
from tracegrad.run.disk import append, stamp
from tracegrad.run.keeper import complain
from tracegrad.run.train import Progress

CHANGED = "learning rate"  # the event's name in `events.jsonl`


class Change(NamedTuple):
    """From after this batch of this epoch on, this learning rate."""

    epoch: int
    batch: int
    learning_rate: float

    @property
    def place(self) -> tuple[int, int]:
        """Where in the training."""
        return self.epoch, self.batch


def changes(folder: Path) -> list[Change]:
    """The changes of a run, in the order of the training.

    A run that was resumed from before a change and changed otherwise went another way: what was
    written of later places before is void. A line that was cut short was never heeded.
    """
    kept: list[Change] = []
    path = folder / EVENTS
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            said = json.loads(line)
            if said["event"] != CHANGED:
                continue
            made = Change(int(said["epoch"]), int(said["batch"]), float(said["learning_rate"]))
        except (ValueError, TypeError, KeyError):
            continue
        kept = [one for one in kept if one.place < made.place] + [made]
    return kept


class Rates:
    """Asked after every batch whether the learning rate changes there.

    It does where it was changed in an earlier life of the run, and where that is wanted now.
    """

    def __init__(self, folder: Path, usual: float, warn: Callable[[str], None] = complain):
        """`usual` is the learning rate of the settings."""
        self.folder, self.usual, self.warn = folder, usual, warn
        self.changes, self.seen = changes(folder), 0

    def after(self, now: Progress) -> float | None:
        """The learning rate to go on with, None if it stays; costs one `stat`."""
        place = now.epoch, now.batch
        before = next((c.learning_rate for c in self.changes if c.place == place), None)
        asked_at = stamp(self.folder / WANTED)
        if asked_at == self.seen:
            return before
        self.seen = asked_at
        rate = wanted(self.folder, self.warn).learning_rate
        last = self.changes[-1].learning_rate if self.changes else self.usual
        if rate is None or rate == last:  # `last` may be one that is yet to be made again
            return before
        return rate if self._written(Change(*place, rate)) else before

    def _written(self, change: Change) -> bool:
        """Whether it lies on the disk, so that a resumed run makes it again at the same place."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": when, "event": CHANGED} | change._asdict())
        path = self.folder / EVENTS
        try:
            cut = path.is_file() and not path.read_bytes().endswith(b"\n")
            append(path, (b"\n" if cut else b"") + line.encode() + b"\n")
        except OSError as error:
            self.warn(f"{path} cannot be written: {error.strerror}. The learning rate stays.")
            return False
        self.changes = [one for one in self.changes if one.place < change.place] + [change]
        return True
