"""Storage: where the arrays of a checkpoint lie, in its file or in a folder beside it."""

from collections.abc import Callable, Container
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import PyTree

from tracegrad.run import beside
from tracegrad.run.beside import BESIDE
from tracegrad.run.checkpoint import Checkpoint
from tracegrad.run.flat import flatten, unflatten

T = TypeVar("T")
Format = Literal["safetensors", "orbax"]
# What the file of a checkpoint holds of a tree; all processes ask at once.
Put = Callable[[Path, int, PyTree], dict[str, np.ndarray]]


def inside(folder: Path, number: int, tree: PyTree) -> dict[str, np.ndarray]:
    """All arrays, whole: each process then has all of them in its memory."""
    return flatten(tree)


def storage(name: Format) -> Put:
    """That of a format; `UsageError` says how to install the package that it needs."""
    if name == "safetensors":
        return inside
    beside.orbax()
    return beside.put


def like(found: Checkpoint) -> Put:
    """The storage that a checkpoint is of."""
    return beside.put if BESIDE in found.arrays else inside


def check(folder: Path, found: Checkpoint, limit: int, name: str) -> None:
    """`DamagedError` if not all is there as it was written; a file itself is checked as read."""
    if BESIDE in found.arrays:
        beside.check(folder, found.arrays[BESIDE], limit, name)


def take(folder: Path, found: Checkpoint, blank: T, name: str) -> T:
    """The tree of `blank` with the arrays of a checkpoint; all processes ask at once."""
    if BESIDE in found.arrays:
        return beside.take(folder, found.arrays[BESIDE], blank, name)
    return unflatten(blank, found.arrays, name)


def tidy(folder: Path, kept: Container[str], newest: Checkpoint) -> None:
    """Drop what belongs to no checkpoint that is kept."""
    beside.drop(folder, kept, newest.arrays.get(BESIDE))
