"""Disk: a file is written whole or not at all, and lies on the disk before anyone is told so."""

import os
from contextlib import suppress
from pathlib import Path

PART = ".part"  # ends the name of a file that is being written


def write(path: Path, content: bytes) -> None:
    """Write a file all or not at all, and let it reach the disk.

    A neighbour is written and synced, takes the name at once, and the folder is synced. `OSError`
    names the file; what was there before is then untouched, and the neighbour gives its space back.
    """
    part = path.with_name(path.name + PART)
    try:
        _fill(part, content, os.O_TRUNC)
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            os.unlink(part)
        raise
    settle(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Write a file all or not at all for a reader; it need not outlive a loss of power."""
    part = path.with_name(path.name + PART)
    part.write_bytes(content)
    os.replace(part, path)


def stamp(path: Path) -> int:
    """When a file was last written, in ns; 0 if it is not there, or out of reach for now."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def append(path: Path, content: bytes) -> None:
    """Write at the end of a file, and let it reach the disk; a crash can cut what is appended."""
    _fill(path, content, os.O_APPEND)


def make(path: Path) -> None:
    """Make a folder, and those above it, so that a loss of power leaves none out.

    `FileExistsError` if it is there already.
    """
    missing = [path, *(parent for parent in path.parents if not parent.exists())]
    for folder in reversed(missing):
        os.mkdir(folder)
        settle(folder.parent)


def settle(path: Path) -> None:
    """Let the names in a folder, or what is in a file, reach the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def settle_all(folder: Path) -> None:
    """Let all that lies in a folder, and in those in it, reach the disk, and then its own name."""
    for path in (*folder.rglob("*"), folder, folder.parent):
        settle(path)


def _fill(path: Path, content: bytes, how: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o666)
    try:
        left = memoryview(content)
        while left:  # a write may take a part only
            left = left[os.write(file, left) :]
        os.fsync(file)
    except OSError as error:
        error.filename = str(path)  # of a write, the system does not say of which file
        raise
    finally:
        os.close(file)
