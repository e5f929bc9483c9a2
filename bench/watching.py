"""What a page that watches costs a training: its speed with and without one, in turn, in one run.

On a busy machine speeds scatter; the share of the processor's time that the run spends on the page
does not.

python bench/watching.py [--rounds 8]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import result

from tracegrad.run.build import build_learner, build_task
from tracegrad.run.changes import offered_changes
from tracegrad.run.control import Control, live
from tracegrad.run.defaults import defaults
from tracegrad.run.disk import stamp
from tracegrad.run.folder import RunFolder
from tracegrad.run.snapshot import FRESH, SNAPSHOT, Snapshots
from tracegrad.run.train import Progress, Watch, train

SECONDS = 12.0  # that speed is taken over, after it has settled
LOOK = "import sys, urllib.request\nfor line in urllib.request.urlopen(sys.argv[1]): pass"


class DoneError(Exception):
    """All rounds are measured."""


class Clock:
    """Counts batches and snapshots, and the processor's seconds that go to who watches."""

    def __init__(self, folder: Path):
        self.batches, self.ended, self.spent = 0, False, 0.0
        self.snapshots, self.last, self.folder = 0, 0, folder

    def timed(self, heed: Callable) -> Callable:
        """The same, its seconds counted."""

        def after(*seen: Any) -> Any:
            began = time.process_time()
            answer = heed(*seen)
            self.spent += time.process_time() - began
            return answer

        return after

    def count(self, now: Progress) -> None:
        """Count a batch; stop the training when all is measured."""
        self.batches += 1
        taken = stamp(self.folder / SNAPSHOT)
        self.snapshots += taken != self.last
        self.last = taken
        if self.ended:
            raise DoneError

    def measured(self) -> dict:
        """Of the seconds to come: batches a second, share of the work spent, snapshots taken."""
        began, before = time.perf_counter(), (self.batches, self.spent, self.snapshots)
        worked = time.process_time()
        time.sleep(SECONDS)
        gone, worked = time.perf_counter() - began, time.process_time() - worked
        batches, spent, snapshots = (
            now - then
            for now, then in zip((self.batches, self.spent, self.snapshots), before, strict=True)
        )
        return {"speed": batches / gone, "share": spent / worked, "snapshots": snapshots}


def rounds(run: Path, clock: Clock, count: int, keep: Callable[[dict], None]) -> None:
    """With a page that somebody looks at, and without, in turn; the first with is not counted."""
    call = [sys.executable, "-m", "tracegrad", "watch", str(run)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        for number in range(count + 1):
            time.sleep(FRESH + 1.0)
            alone = clock.measured()
            with subprocess.Popen([sys.executable, "-c", LOOK, f"{address}events"]) as page:
                time.sleep(20.0 if number == 0 else 2.0)  # the first compiles
                watched = clock.measured()
                page.terminate()
            if number:
                keep({"alone": alone, "watched": watched})
        server.terminate()
    clock.ended = True


def measure(rule: str, count: int) -> dict:
    """Train on the digits while the page comes and goes; speeds in batches a second."""
    usual = defaults("digits", rule)
    config = replace(usual, learning=replace(usual.learning, epochs=1_000_000))
    task = build_task(config)
    found: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", config)
        clock, control = Clock(run.path), Control(run.path)
        snapshots, changes = Snapshots(run.path), offered_changes(run.path, config, task)

        page = threading.Thread(target=rounds, args=(run.path, clock, count, found.append))
        page.start()

        def batch(now: Progress) -> None:
            clock.count(now)
            clock.timed(control.after)(now)

        watch = Watch(batch, look=clock.timed(snapshots.after), change=clock.timed(changes.after))
        with suppress(DoneError):
            train(build_learner(config, task), config, task, watch)
        page.join()
        assert live(run.path) is not None
    slower = [1.0 - one["watched"]["speed"] / one["alone"]["speed"] for one in found]
    spent = [one["watched"]["share"] for one in found]
    return {
        "rule": rule,
        "slower": statistics.median(slower),
        "spent": statistics.median(spent),
        "rounds": found,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    rows = [measure(rule, options.rounds) for rule in ("block_diagonal", "eprop")]
    for row in rows:
        print(f"{row['rule']}: {row['slower']:.1%} slower, {row['spent']:.2%} of the work spent")
    settings = {"task": "digits", "seconds": SECONDS, "rounds": options.rounds}
    print(result.write("watching", settings, rows))
