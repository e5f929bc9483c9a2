"""Control: how a page that watches a run and the run itself speak, through files of its folder.

The page writes `control.json`; the run looks whether it is there and new, which costs one system
call a batch, and only then says in `live.json` where it stands.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tracegrad.run.keeper import complain
from tracegrad.run.strict_json import from_json
from tracegrad.run.train import Progress

CONTROL, LIVE, EVENTS = "control.json", "live.json", "events.jsonl"
LARGEST = 1 << 12  # bytes of either JSON file; more is read of none
EVERY = 0.5  # seconds between two lines of `live.json`
NAP = 0.1  # seconds between two looks while paused


@dataclass(frozen=True)
class Wish:
    """What the page wants of the run."""

    paused: bool = False


def wish(folder: Path, warn: Callable[[str], None] = lambda sentence: None) -> Wish:
    """What is wanted now: nothing where nobody watches, or where that cannot be read.

    `warn` then hears one sentence: nobody's file may end a training.
    """
    path = folder / CONTROL
    try:
        text = _text(path)
        return Wish() if text is None else from_json(Wish, text)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        warn(f"{path} is ignored, as it is damaged: {why}. Press the button of the page again.")
        return Wish()


def ask(folder: Path, wanted: Wish) -> None:
    """Let the run know what is wanted."""
    _replace(folder / CONTROL, json.dumps(asdict(wanted)))


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

    def __init__(self, folder: Path, warn: Callable[[str], None] = complain):
        """Nothing is written before somebody watches."""
        self.folder, self.warn, self.seen, self.said = folder, warn, 0, 0.0
        self.told = False

    def after(self, now: Progress) -> None:
        """One `stat`; if somebody watches, a small file twice a second; a pause if it is wanted."""
        stamp = self._stamp()
        if not stamp:
            return
        try:
            self._heed(now, stamp)
        except OSError as error:
            if not self.told:
                self.warn(f"{self.folder}: who watches cannot be told: {error.strerror}.")
            self.told = True

    def _heed(self, now: Progress, stamp: int) -> None:
        moment = time.monotonic()
        if moment - self.said >= EVERY:
            self.said = moment
            _replace(self.folder / LIVE, json.dumps(now._asdict()))
        if stamp != self.seen:
            self.seen = stamp
            if wish(self.folder, self.warn).paused:
                self._pause(now)

    def _pause(self, now: Progress) -> None:
        self._log("paused", now)
        while wish(self.folder, self.warn).paused:
            time.sleep(NAP)
        self.seen = self._stamp()
        self._log("resumed", now)

    def _stamp(self) -> int:
        try:
            return os.stat(self.folder / CONTROL).st_mtime_ns
        except OSError:  # there is none, or the folder is out of reach for now
            return 0

    def _log(self, what: str, now: Progress) -> None:
        """A line in `events.jsonl`: when, what, and in which epoch and batch."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "event": what, "epoch": now.epoch, "batch": now.batch}
        with (self.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(content) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST} bytes")
    return content.decode()


def _replace(path: Path, text: str) -> None:
    """All or not at all for a reader; it need not outlive a crash, so it is not synced to disk."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
