"""Keeper: the last checkpoints of a run, and the newest that is good."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import PyTree

from tracegrad.errors import DataError
from tracegrad.run import disk, storage
from tracegrad.run.checkpoint import Checkpoint, DamagedError, read, to_bytes

T = TypeVar("T")
KEPT = 2  # the newest, and one to go back to
SECONDS = 60.0  # between two checkpoints within an epoch, unless batches are counted
SUFFIX = ".checkpoint"


def complain(sentence: str) -> None:
    """A warning for a person, on stderr."""
    print(f"tracegrad: {sentence}", file=sys.stderr)


class Keeper:
    """Keeps the last checkpoints in a folder, by the number of batches that came before.

    `identity` is the SHA-256 of the settings they belong to, `every` the batches between two of
    them (None: a minute). `put` says where their arrays lie; None: as those of the newest do, and
    in the file where there is none. Only one run may keep at a time: see `lock`.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        every: int | None = None,
        warn: Callable[[str], None] = complain,
        put: storage.Put | None = None,
    ):
        """Nothing is read or made before it is asked for."""
        self.folder, self.identity, self.every, self.warn = folder, identity, every, warn
        self.put = put
        self.last: Path | None = None
        self._batches, self._began = 0, time.monotonic()

    def due(self) -> bool:
        """Whether it is time for a checkpoint; asked once after every batch."""
        self._batches += 1
        if self.every is not None:
            return self._batches >= self.every
        return time.monotonic() - self._began >= SECONDS

    def arrays(self, number: int, tree: PyTree) -> dict[str, np.ndarray] | None:
        """What the checkpoint of that number holds of a tree; None, and a warning, if none can be.

        All processes must ask at once; of several, one whose disk refuses ends with an error.
        """
        try:
            return (self.put or storage.inside)(self.folder, number, tree)
        except OSError as error:
            if jax.process_count() > 1:
                raise
            self._refused(number, error)
            return None

    def take(self, found: Checkpoint, blank: T) -> T:
        """The tree of `blank` with the arrays of the last that was found; all processes ask."""
        return storage.take(self.folder, found, blank, str(self.last))

    def save(self, number: int, checkpoint: Checkpoint) -> None:
        """Keep one more and drop the oldest; a disk that refuses is a warning, and nothing else.

        Those that were kept before then stay as they are.
        """
        self._batches, self._began = 0, time.monotonic()
        path = self._path(number)
        try:
            if not self.folder.is_dir():
                disk.make(self.folder)
            disk.write(path, to_bytes(checkpoint))
            self.last = path
            for old in self.files()[KEPT:]:
                os.unlink(old)
            storage.tidy(self.folder, {kept.stem for kept in self.files()}, checkpoint)
        except OSError as error:
            self._refused(number, error)

    def newest(self, limit: int) -> Checkpoint | None:
        """The newest that is good, each read up to `limit` bytes; None if none was ever written.

        Newer ones that are damaged are set aside as `NAME.damaged`, and a warning says so.
        `DataError` if there are some and none is good.
        """
        damage: list[DamagedError] = []
        for path in self.files():
            try:
                found = self.good(path, limit)
            except DamagedError as error:
                damage.append(error)
                continue
            self.last, self.put = path, self.put or storage.like(found)
            self._set_aside(damage, path)
            return found
        if damage:
            raise DataError(
                f"No checkpoint in {self.folder} is good: {'; '.join(map(str, damage))}. Train "
                "again in another folder."
            )
        return None

    def good(self, path: Path, limit: int) -> Checkpoint:
        """The checkpoint in a file with all that lies beside it; `DamagedError` otherwise."""
        found = read(path, limit)
        storage.check(self.folder, found, limit, path.name)
        return found

    @property
    def number(self) -> int:
        """Of the last good checkpoint that was written or found."""
        assert self.last is not None
        return int(self.last.stem)

    def at(self, number: int, limit: int) -> Checkpoint:
        """The checkpoint of that number, of at most `limit` bytes, which must be good."""
        self.last = self._path(number)
        found = read(self.last, limit)  # the first process has looked at all of it
        self.put = self.put or storage.like(found)
        return found

    def files(self) -> list[Path]:
        """The checkpoints there are, newest first."""
        return sorted(self.folder.glob(f"*{SUFFIX}"), reverse=True)

    def clear(self) -> None:
        """Drop all of them: the run has come to its end."""
        self.last = None
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012}{SUFFIX}"

    def _refused(self, number: int, error: OSError) -> None:
        self._batches, self._began = 0, time.monotonic()
        kept = "There is none yet." if self.last is None else f"The last is {self.last}."
        self.warn(
            f"The checkpoint {self._path(number)} could not be written: "
            f"{error.strerror or error}. {kept} Training goes on."
        )

    def _set_aside(self, damage: list[DamagedError], good: Path) -> None:
        """Let no damaged file count as one of those that are kept."""
        for path in self.folder.glob(f"*{disk.PART}"):
            os.unlink(path)
        if not damage:
            return
        for path in self.files():
            if path > good:
                os.replace(path, path.with_name(path.name + ".damaged"))
        self.warn(
            f"{'; '.join(map(str, damage))}. It is set aside as *.damaged, and training goes on "
            f"from the one before: {good}."
        )
