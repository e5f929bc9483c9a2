"""Checkpoint: arrays and what is said of them as one file that shows any damage.

The file is two lines, `tracegrad checkpoint 1` and the SHA-256 of all that follows, and then
safetensors, in which the array `manifest` is the UTF-8 of a JSON text. Nothing is parsed before
the digest holds, and nothing that is parsed can run code. A digest shows damage; it is no
signature, so it does not show an attacker.
"""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tracegrad.errors import DataError

FIRST_LINE = b"tracegrad checkpoint 1\n"
HEAD = len(FIRST_LINE) + 65  # the digest as 64 digits and the end of its line
MANIFEST = "manifest"


class DamagedError(DataError):
    """A checkpoint that cannot be used, whatever it is asked for; an older one may be good."""


class Checkpoint(NamedTuple):
    """Arrays by name, and a JSON text that says what they are."""

    arrays: dict[str, np.ndarray]
    manifest: str


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """The file of a checkpoint."""
    assert MANIFEST not in checkpoint.arrays  # names are paths of a learner's state
    said = np.frombuffer(checkpoint.manifest.encode(), np.uint8)
    body = save(checkpoint.arrays | {MANIFEST: said})
    return b"".join((FIRST_LINE, sha256(body).hexdigest().encode(), b"\n", body))


def from_bytes(content: bytes, name: str) -> Checkpoint:
    """The checkpoint in a file called `name`; `DamagedError` if a bit of it is not as written."""
    if not content.startswith(FIRST_LINE):
        raise DamagedError(f"{name} is damaged, or a newer tracegrad wrote it")
    digest, body = content[len(FIRST_LINE) : HEAD], content[HEAD:]
    if digest != sha256(body).hexdigest().encode() + b"\n":
        raise DamagedError(f"{name} is damaged: its SHA-256 is another")
    try:
        arrays = load(body)
        manifest = arrays.pop(MANIFEST)
        return Checkpoint(arrays, manifest.tobytes().decode())
    except (SafetensorError, KeyError, ValueError) as error:
        raise DamagedError(f"{name} is no checkpoint: {error}") from error


def read(path: Path, limit: int) -> Checkpoint:
    """The checkpoint in a file of at most `limit` bytes; `DamagedError` if it cannot be used."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise DamagedError(f"{path.name} is larger than the {limit} bytes it can need")
    return from_bytes(content, path.name)
