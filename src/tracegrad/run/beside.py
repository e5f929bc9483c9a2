"""Beside: a learner's arrays in a folder beside their checkpoint, which orbax writes in parts.

Every process writes what its devices hold and reads what they need, so no array is ever whole in
one place. The file of the checkpoint names the folder and says of each of its files how large it is
and what its SHA-256 is. It is written when the folder has reached the disk; until then the folder
counts for nothing.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all
from jaxtyping import PyTree

from tracegrad.data.extras import extra
from tracegrad.errors import DataError, UsageError
from tracegrad.run import disk
from tracegrad.run.checkpoint import DamagedError
from tracegrad.run.flat import Kind, compare, named, renamed
from tracegrad.run.strict_json import from_json

T = TypeVar("T")
BESIDE = "beside"  # the array of a checkpoint that is the text of what lies beside it
SUFFIX = ".orbax"
CODE = re.compile(r"os_error_code='(\d+)'")  # in what the library beneath orbax says of a disk


@dataclass(frozen=True)
class Part:
    """A file in the folder."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Beside:
    """The folder by its name, and all of its files by their paths in it."""

    folder: str
    files: dict[str, Part]


def orbax() -> Any:
    """The package; `UsageError` that says how to install it where it is missing."""
    return extra("orbax.checkpoint", "Checkpoints beside their file", "orbax")


def put(folder: Path, number: int, tree: PyTree) -> dict[str, np.ndarray]:
    """Write a tree beside the checkpoint of that number; what its file is to say of it.

    All processes must ask at once, and what comes back counts for the first. `OSError` where the
    disk refuses.
    """
    arrays = {name: array for name, array in named(tree).items() if array.size}
    path = _unused(folder, number)
    with _plain_errors(path):
        _writer().save(path.absolute(), args=orbax().args.PyTreeSave(arrays))
    if jax.process_index():
        return {}
    disk.settle_all(path)
    said = json.dumps(asdict(Beside(path.name, {n: _part(f) for n, f in _files(path).items()})))
    return {BESIDE: np.frombuffer(said.encode(), np.uint8)}


def check(folder: Path, said: np.ndarray, limit: int, name: str) -> None:
    """`DamagedError` unless each file is as it was written, none is more, and all fit the limit."""
    about = _read(said, name)
    path = folder / about.folder
    found = _files(path)
    if odd := sorted(found.keys() ^ about.files.keys()):
        what = "more" if odd[0] in found else "less"
        raise DamagedError(f"{name} is damaged: {path.name} has {what} than it: {odd[0]}")
    if odd := [file for file, one in found.items() if one.is_symlink() or not one.is_file()]:
        raise DamagedError(f"{name} is damaged: {path.name}/{odd[0]} is no plain file")
    try:
        if sum(file.stat().st_size for file in found.values()) > limit:
            raise DamagedError(f"{path.name} is larger than the {limit} bytes it can need")
        wrong = [file for file, part in about.files.items() if _part(found[file]) != part]
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read: {error.strerror}") from error
    if wrong:
        raise DamagedError(f"{name} is damaged: the SHA-256 of {path.name}/{wrong[0]} is another")


def take(folder: Path, said: np.ndarray, blank: T, name: str) -> T:
    """The tree of `blank` with what lies beside a checkpoint that was checked, where its own lies.

    All processes must ask at once. `DataError` names what is of another learner.
    """
    path, own = (folder / _read(said, name).folder).absolute(), named(blank)
    kept = {n: array for n, array in own.items() if array.size}
    try:
        found = _restored(path, kept, name)
    except (UsageError, OSError):
        raise
    except Exception as error:  # of any kind, where another version wrote what this one reads
        said_so = str(error).strip().partition("\n")[0]
        raise DataError(f"{name}: orbax cannot read what lies beside it: {said_so:.200}") from error
    for one, array in found.items():  # one after another, so that no second state is ever there
        if isinstance(array, jax.Array):
            found[one] = jnp.copy(array)  # in memory of its own, which can be donated
    return renamed(blank, own | found)


def _restored(path: Path, kept: dict[str, Any], name: str) -> dict[str, Any]:
    expected = [Kind(n, array.shape, array.dtype) for n, array in kept.items()]
    where = {n: _where(array) for n, array in kept.items()}
    with _plain_errors(path):
        reader = _writer()
        compare(expected, reader.metadata(path).item_metadata.tree, name)
        return reader.restore(path, args=orbax().args.PyTreeRestore(kept, restore_args=where))


def drop(folder: Path, kept: Container[str], said: np.ndarray | None) -> None:
    """Drop folders of numbers that are not kept, and of that of `said` all others."""
    used = None if said is None else _read(said, "it").folder
    for path in folder.glob(f"*{SUFFIX}*"):
        number = path.name.partition(".")[0]
        if number not in kept or (used and used.startswith(f"{number}.") and path.name != used):
            shutil.rmtree(path)


def _unused(folder: Path, number: int) -> Path:
    """A name in the folder that was never used, agreed on by all processes."""
    if not jax.process_index() and not folder.is_dir():
        disk.make(folder)
    taken = {path.name.split(".")[1] for path in folder.glob(f"{number:012}.*{SUFFIX}*")}
    unused = max(map(int, taken), default=-1) + 1
    return folder / f"{number:012}.{int(broadcast_one_to_all(np.int32(unused)))}{SUFFIX}"


def _writer() -> Any:
    return orbax().Checkpointer(orbax().PyTreeCheckpointHandler())


def _where(array: jax.Array | np.ndarray) -> Any:
    if isinstance(array, jax.Array):
        return orbax().ArrayRestoreArgs(sharding=array.sharding, dtype=array.dtype)
    return orbax().RestoreArgs(restore_type=np.ndarray)


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """An error of the disk as such, said once; orbax also logs it, and where in its code it was."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except ValueError as error:
        if (code := CODE.search(str(error))) is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error
    finally:
        log.setLevel(level)


def _read(said: np.ndarray, name: str) -> Beside:
    """What a checkpoint says of its folder, which must lie beside it."""
    try:
        about = from_json(Beside, said.tobytes().decode())
    except ValueError as error:
        raise DamagedError(f"{name} is damaged: what lies beside it is {error}") from error
    if not re.fullmatch(rf"\d{{12}}\.\d+{re.escape(SUFFIX)}", about.folder):
        raise DamagedError(f"{name} is damaged: {about.folder!r:.80} does not lie beside it")
    return about


def _files(path: Path) -> dict[str, Path]:
    """All that lies below a folder and is none itself, by their paths in it."""
    found = (p for p in path.rglob("*") if p.is_symlink() or not p.is_dir())
    return {} if path.is_symlink() else {file.relative_to(path).as_posix(): file for file in found}


def _part(path: Path) -> Part:
    with path.open("rb") as file:
        return Part(path.stat().st_size, file_digest(file, "sha256").hexdigest())
