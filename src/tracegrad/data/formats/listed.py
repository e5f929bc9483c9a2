"""Listed: events out of a file, checked so that the message names the file."""

from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int64

from tracegrad.data.events import Events
from tracegrad.errors import DataError

LONGEST = 3_600_000_000  # microseconds; an hour is no recording of a word or a gesture


def listed(
    path: Path,
    time: Int64[np.ndarray, "N"],
    line: Int64[np.ndarray, "N"],
    lines: int,
    polarity: Int8[np.ndarray, "N"] | None = None,
) -> Events:
    """Events of `path`; `DataError` if times are negative or fall, or a line does not exist.

    `time` in microseconds, `line` in [0, lines), `polarity` 1 (ON) or 0 (OFF).
    """
    if len(time):
        if time.min() < 0:
            raise DataError(f"{path}: has an event at {time.min()} us, before 0. Replace it.")
        if time.max() > LONGEST:
            raise DataError(f"{path}: has an event at {time.max()} us, after an hour. Replace it.")
        if len(late := np.flatnonzero(np.diff(time) < 0)):
            raise DataError(
                f"{path}: its events must be sorted by time, but time falls after event {late[0]}. "
                "Sort them or replace the file."
            )
        if line.min() < 0 or line.max() >= lines:
            raise DataError(
                f"{path}: its lines must lie in [0, {lines}), got {line.min()} to {line.max()}. "
                "Check that it is the right file."
            )
    return Events(time, line, lines, polarity)


def pixels(
    path: Path,
    x: Int64[np.ndarray, "N"],
    y: Int64[np.ndarray, "N"],
    width: int,
    height: int,
) -> Int64[np.ndarray, "N"]:
    """Lines y `width` + x; `DataError` if a pixel lies outside the sensor."""
    for name, value, end in (("x", x, width), ("y", y, height)):
        if len(value) and (value.min() < 0 or value.max() >= end):
            raise DataError(
                f"{path}: {name} must lie in [0, {end}), got {value.min()} to {value.max()}. "
                "Check that it is of this sensor."
            )
    return y * width + x


def read_bytes(path: Path, largest: int) -> bytes:
    """The file, refused before it is read if it has more than `largest` bytes."""
    try:
        size = path.stat().st_size
        if size > largest:
            raise DataError(f"{path}: must have at most {largest} bytes, has {size}. Replace it.")
        with path.open("rb") as file:
            return file.read(largest)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file. Check the path.") from error


def after_comments(path: Path, content: bytes, mark: bytes) -> int:
    """Where a header of lines that begin with `mark` ends; `DataError` if it is cut."""
    start = 0
    while content[start : start + 1] == mark:
        end = content.find(b"\n", start)
        if end < 0:
            raise DataError(f"{path}: ends inside its header. The file is cut; replace it.")
        start = end + 1
    return start


def word_pairs(path: Path, content: bytes, start: int, kind: str) -> Int64[np.ndarray, "2 N"]:
    """Events of two words of 32 bits from `start` on, of NumPy's `kind`: first and second words."""
    if (len(content) - start) % 8:
        raise DataError(
            f"{path}: must hold events of 8 bytes, has {len(content) - start} bytes of them. The "
            "file is cut; replace it."
        )
    return np.frombuffer(content, kind, offset=start).astype(np.int64).reshape(-1, 2).T
