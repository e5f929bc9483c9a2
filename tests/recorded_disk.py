"""A stand-in for `os` that records what is asked of the disk, or fails at one call; and what a disk
may hold after a loss of power at any moment of such a record."""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")
Event = tuple[Any, ...]


class RecordedDisk:
    """Give it to a module in place of its `os`."""

    def __init__(self, fail_at: int | None = None, code: int = 0):
        self.events: list[Event] = []
        self.fail_at, self.code, self.calls = fail_at, code, 0
        self.names: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls - 1 == self.fail_at:
                raise OSError(self.code, os.strerror(self.code))
            result = real(*arguments)
            self.record(name, arguments, result)
            return result

        return call

    def record(self, name: str, arguments: tuple, result: Any) -> None:
        if name == "open":
            self.names[result] = str(arguments[0])
            if arguments[1] & os.O_CREAT:
                self.events.append(("create", str(arguments[0])))
        elif name == "write":
            written = bytes(arguments[1][:result])
            self.events.append(("write", self.names[arguments[0]], written))
        elif name == "fsync":
            self.events.append(("fsync", self.names[arguments[0]]))
        elif name in ("replace", "unlink", "mkdir"):
            self.events.append((name, *map(str, arguments)))

    def mark(self, what: int) -> None:
        """Note that the caller has been told that `what` is saved."""
        self.events.append(("told", what))


class Disk:
    """What the machine sees, and what of it is sure to be there after a loss of power."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}  # names to files
        self.sure: dict[str, int] = {}
        self.pending: list[Event] = []  # changes of names that no fsync of their folder covers
        self.content: list[bytes] = []
        self.synced: list[bytes] = []
        self.folders: set[str] = set()

    def apply(self, event: Event) -> None:
        kind, path, *rest = event
        if kind == "create":
            if path not in self.seen:
                self.content.append(b"")
                self.synced.append(b"")
                self.change(("link", path, len(self.content) - 1))
            self.content[self.seen[path]] = b""
        elif kind == "write":
            self.content[self.seen[path]] += rest[0]
        elif kind == "fsync" and path in self.seen:
            self.synced[self.seen[path]] = self.content[self.seen[path]]
        elif kind == "fsync":
            mine = [change for change in self.pending if str(Path(change[1]).parent) == path]
            self.pending = [change for change in self.pending if change not in mine]
            for change in mine:
                renamed(self.sure, change)
        elif kind in ("replace", "unlink"):
            self.change(event)

    def change(self, change: Event) -> None:
        renamed(self.seen, change)
        self.pending.append(change)

    def after_power_loss(self) -> Iterator[dict[str, bytes]]:
        """Every subset of changes of names that are not sure, with unsynced data lost, cut, there.

        A file of which nothing is synced may also be of the right length and full of zeros.
        """
        for size in range(len(self.pending) + 1):
            for chosen in combinations(self.pending, size):
                names = dict(self.sure)
                for change in chosen:
                    renamed(names, change)
                yield {name: self.synced[file] for name, file in names.items()}
                yield {name: self.content[file] for name, file in names.items()}
                yield {name: self.cut(file) for name, file in names.items()}
                yield {name: self.zeros(file) for name, file in names.items()}

    def cut(self, file: int) -> bytes:
        synced, content = self.synced[file], self.content[file]
        return content if synced == content else content[: len(content) // 2]

    def zeros(self, file: int) -> bytes:
        synced, content = self.synced[file], self.content[file]
        return content if synced == content else bytes(len(content))


def renamed(names: dict[str, int], change: Event) -> None:
    kind, path, *rest = change
    if kind == "link":
        names[path] = rest[0]
    elif kind == "unlink":
        names.pop(path, None)
    elif path in names:
        names[rest[0]] = names.pop(path)
