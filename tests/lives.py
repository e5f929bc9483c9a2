"""Trainings to be killed: a process that forks one for each line it reads.

`start JSON` answers with the child's id, `wait ID` with how it ended (-9: killed). The libraries
are imported once and the backend of JAX starts in the child alone, so a life begins at once. The
disk is slow, so that a kill can meet a write.
"""

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from tiny import TINY, make_tiny
from tracegrad.data.registry import TASKS, Entry
from tracegrad.errors import UsageError
from tracegrad.run import beside, disk
from tracegrad.run.session import Session
from tracegrad.run.storage import Format, storage

with suppress(UsageError):  # here once, and not in every life
    beside.orbax()

PIECE, SECONDS = 4096, 2e-3


class SlowDisk:
    """`os` with writes that take a piece at a time, as a write may."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, file: int, content: memoryview) -> int:
        time.sleep(SECONDS)
        return os.write(file, content[:PIECE])

    def fsync(self, file: int) -> None:
        time.sleep(SECONDS)
        os.fsync(file)


def in_place(path: Path, content: bytes) -> None:
    """The control: the file itself is written, and synced too."""
    disk._fill(path, content, os.O_TRUNC)
    disk.settle(path.parent)


def one_for_all(folder: Path, number: int) -> Path:
    """The control beside a file: every checkpoint writes over what lies beside the one before."""
    path = folder / "000000000000.0.orbax"
    folder.mkdir(exist_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    return path


class Ordered(NamedTuple):
    """What a life is to be."""

    folder: str
    learning: dict
    substrate: str | None
    format: Format
    control: bool


def live(order: Ordered) -> None:
    """Begin or go on with a run, with a checkpoint after every batch."""
    disk.os = SlowDisk()  # type: ignore[assignment]
    if order.control:
        disk.write, beside._unused, beside.drop = in_place, one_for_all, lambda *_: None
    TASKS["digits"] = Entry(make_tiny, "two classes", False)
    put, folder = storage(order.format), Path(order.folder)
    session = Session(Console(quiet=True), pictures=False, every=1, put=put)
    if (folder / "config.toml").exists():
        session.resume(folder)
    else:
        changed = replace(TINY.learning, **order.learning)
        session.run(replace(TINY, substrate=order.substrate, learning=changed), folder)


def begin(order: str) -> int:
    """Fork a child that lives by the order."""
    if child := os.fork():
        return child
    code = 1
    try:
        live(Ordered(**json.loads(order)))
        code = 0
    except UsageError as error:
        print(error, file=sys.stderr, flush=True)
        code = 2
    finally:
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        verb, _, rest = line.strip().partition(" ")
        if verb == "start":
            print(begin(rest), flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(int(rest), 0)[1]), flush=True)
