"""Control: how a page that watches a run and the run itself speak, through files of its folder.

The page writes `control.json` to pause it, and `wanted.json` for all else; the run looks whether
they are there and new, which costs a system call each a batch, and where the former is, it says in
`live.json` where it stands. At its start it says in `numbers.json` what may change.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from tracegrad.model.adjustable import Number
from tracegrad.run.disk import replace, stamp, write
from tracegrad.run.keeper import complain
from tracegrad.run.strict_json import from_json
from tracegrad.run.train import Progress

T = TypeVar("T")
CONTROL, WANTED, NUMBERS = "control.json", "wanted.json", "numbers.json"
LIVE, EVENTS = "live.json", "events.jsonl"
LARGEST = 1 << 14  # bytes of a JSON file; more is read of none
EVERY = 0.5  # seconds between two lines of `live.json`
NAP = 0.1  # seconds between two looks while paused


@dataclass(frozen=True)
class Wish:
    """Whether the run is to stand still."""

    paused: bool = False


@dataclass(frozen=True)
class Wanted:
    """A learning rate, other numbers by name, and the synapse to follow: neuron and input line."""

    learning_rate: float | None = None
    synapse: list[int] | None = None
    numbers: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no run can heed."""
        rate, synapse = self.learning_rate, self.synapse
        if rate is not None and not 0 < rate < float("inf"):
            raise ValueError(f"learning_rate must be positive and finite, got {rate}")
        if synapse is not None and (len(synapse) != 2 or min(synapse) < 0):
            raise ValueError(f"synapse must be a neuron and a line, got {synapse}")
        if not all(map(isfinite, self.numbers.values())):
            raise ValueError(f"numbers must be finite, got {self.numbers}")


@dataclass(frozen=True)
class Offered:
    """The numbers that may change while a run trains, by name."""

    numbers: dict[str, Number] = field(default_factory=dict)


def unheard(sentence: str) -> None:
    """Who does not want to be warned."""


def wish(folder: Path, warn: Callable[[str], None] = unheard) -> Wish:
    """Whether to pause now: not where nobody watches, or where that cannot be read.

    `warn` then hears one sentence: nobody's file may end a training.
    """
    return _heard(Wish(), folder / CONTROL, warn, "Press the button of the page again.")


def wanted(folder: Path, warn: Callable[[str], None] = unheard) -> Wanted:
    """What else is wanted now, in the same way."""
    return _heard(Wanted(), folder / WANTED, warn, "Ask again on the page.")


def ask(folder: Path, wanted: Wish) -> None:
    """Let the run know whether to pause."""
    replace(folder / CONTROL, json.dumps(asdict(wanted)).encode())


def want(folder: Path, what: Wanted) -> None:
    """Let the run know what else is wanted; it outlives a loss of power."""
    write(folder / WANTED, json.dumps(asdict(what)).encode())


def offer(folder: Path, numbers: Mapping[str, Number]) -> None:
    """Let the page know which numbers may change."""
    replace(folder / NUMBERS, json.dumps(asdict(Offered(dict(numbers)))).encode())


def offered(folder: Path) -> dict[str, Number]:
    """The numbers that may change; none if the run has not said so, or that is damaged."""
    return _heard(Offered(), folder / NUMBERS, unheard, "").numbers


def live(folder: Path) -> dict[str, Any] | None:
    """Where the run stood when it last said so; None if it never did, or that is damaged."""
    try:
        found = json.loads(_text(folder / LIVE) or "null")
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class Control:
    """The run's side: called after every batch, it pauses while that is wanted and logs it.

    What it cannot read or write is a warning, and training goes on.
    """

    def __init__(
        self,
        folder: Path,
        warn: Callable[[str], None] = complain,
        ended: Callable[[], bool] = lambda: False,
    ):
        """Nothing is written before somebody watches; what has `ended` does not stay paused."""
        self.folder, self.warn, self.seen, self.said = folder, warn, 0, 0.0
        self.ended = ended
        self.told = False

    def after(self, now: Progress) -> None:
        """One `stat`; if somebody watches, a small file twice a second; a pause if it is wanted."""
        asked_at = stamp(self.folder / CONTROL)
        if not asked_at:
            return
        try:
            self._heed(now, asked_at)
        except OSError as error:
            if not self.told:
                self.warn(f"{self.folder}: who watches cannot be told: {error.strerror}.")
            self.told = True

    def end(self, now: Progress) -> None:
        """Say that there will be no more, if somebody watched."""
        if stamp(self.folder / CONTROL):
            with suppress(OSError):
                replace(self.folder / LIVE, json.dumps(now._asdict() | {"ended": True}).encode())

    def _heed(self, now: Progress, asked_at: int) -> None:
        moment = time.monotonic()
        if moment - self.said >= EVERY:
            self.said = moment
            replace(self.folder / LIVE, json.dumps(now._asdict()).encode())
        if asked_at != self.seen:
            self.seen = asked_at
            if wish(self.folder, self.warn).paused:
                self._pause(now)

    def _pause(self, now: Progress) -> None:
        self._log("paused", now)
        while wish(self.folder, self.warn).paused and not self.ended():
            time.sleep(NAP)
        self.seen = stamp(self.folder / CONTROL)
        self._log("resumed", now)

    def _log(self, what: str, now: Progress) -> None:
        """A line in `events.jsonl`: when, what, and in which epoch and batch."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "event": what, "epoch": now.epoch, "batch": now.batch}
        with (self.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _heard(usual: T, path: Path, warn: Callable[[str], None], again: str) -> T:
    """What a file says, or `usual` where it is not there or damaged."""
    try:
        text = _text(path)
        return usual if text is None else from_json(type(usual), text)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        warn(f"{path} is ignored, as it is damaged: {why}. {again}")
        return usual


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(content) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST} bytes")
    return content.decode()
