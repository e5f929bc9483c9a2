"""Control: how a page that watches a run and the run itself speak, through files of its folder.

The page writes `control.json`; the run looks whether it is there and new, which costs one system
call a batch, and only then says in `live.json` where it stands.
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tracegrad.run.train import Progress

CONTROL, LIVE, EVENTS = "control.json", "live.json", "events.jsonl"
EVERY = 0.5  # seconds between two lines of `live.json`
NAP = 0.1  # seconds between two looks while paused


@dataclass(frozen=True)
class Wish:
    """What the page wants of the run."""

    paused: bool = False


def wish(folder: Path) -> Wish:
    """What is wanted now: nothing where nobody watches."""
    text = _text(folder / CONTROL)
    return Wish() if text is None else Wish(**json.loads(text))


def ask(folder: Path, wanted: Wish) -> None:
    """Let the run know what is wanted."""
    _replace(folder / CONTROL, json.dumps(asdict(wanted)))


def live(folder: Path) -> dict[str, Any] | None:
    """Where the run stood when it last said so; None if it never did."""
    text = _text(folder / LIVE)
    return None if text is None else json.loads(text)


class Control:
    """The run's side: called after every batch, it pauses while that is wanted and logs it."""

    def __init__(self, folder: Path):
        """Nothing is written before somebody watches."""
        self.folder, self.seen, self.said = folder, 0, 0.0

    def after(self, now: Progress) -> None:
        """One `stat`; if somebody watches, a small file twice a second; a pause if it is wanted."""
        stamp = self._stamp()
        if not stamp:
            return
        moment = time.monotonic()
        if moment - self.said >= EVERY:
            self.said = moment
            _replace(self.folder / LIVE, json.dumps(now._asdict()))
        if stamp != self.seen:
            self.seen = stamp
            if wish(self.folder).paused:
                self._pause(now)

    def _pause(self, now: Progress) -> None:
        self._log("paused", now)
        while wish(self.folder).paused:
            time.sleep(NAP)
        self.seen = self._stamp()
        self._log("resumed", now)

    def _stamp(self) -> int:
        try:
            return os.stat(self.folder / CONTROL).st_mtime_ns
        except FileNotFoundError:
            return 0

    def _log(self, what: str, now: Progress) -> None:
        """A line in `events.jsonl`: when, what, and in which epoch and batch."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "event": what, "epoch": now.epoch, "batch": now.batch}
        with (self.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _replace(path: Path, text: str) -> None:
    """All or not at all for a reader; it need not outlive a crash, so it is not synced to disk."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
