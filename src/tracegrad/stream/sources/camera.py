"""Camera: recordings of event cameras, through their readers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tracegrad.data.events import Events
from tracegrad.data.formats import aedat2, aedat3, aedat4
from tracegrad.data.formats.prophesee_dat import read_dat
from tracegrad.errors import DataError, UsageError
from tracegrad.stream.piece import NO_POLARITY, Piece

END = 2**62  # microseconds: all of a recording


class Sensor(NamedTuple):
    """Pixels of a sensor."""

    width: int
    height: int


Reader = Callable[[Path, Sensor | None], Events]


def camera_reader(start: bytes) -> Reader | None:
    """What reads a file that begins so; None if it is of no camera."""
    readers: dict[bytes, Reader] = {
        aedat2.MAGIC: _read_aedat2,
        aedat3.MAGIC: _read_aedat3,
        aedat4.MAGIC: lambda path, sensor: aedat4.read_aedat4(path, *(sensor or ())),
        b"%": lambda path, sensor: read_dat(path, *(sensor or ())),
    }
    return next((read for mark, read in readers.items() if start.startswith(mark)), None)


def event_pieces(events: Events) -> Iterator[Piece]:
    """Events as records, 4096 at a time."""
    number = len(events)
    none = np.full(number, NO_POLARITY, np.int8)
    polarity = none if events.polarity is None else events.polarity
    label = np.zeros(number, np.bool_)
    return iter(Piece(events.time, events.line.astype(np.int64), polarity, label).parts())


def _read_aedat3(path: Path, sensor: Sensor | None) -> Events:
    """All of a file at once; a part of a longer one is for whoever says which."""
    if (size := path.stat().st_size) > aedat4.LARGEST:
        raise DataError(f"{path}: must have at most {aedat4.LARGEST} bytes, has {size}. Cut it.")
    return aedat3.read_aedat3(path, 0, END, *(sensor or ()))


def _read_aedat2(path: Path, sensor: Sensor | None) -> Events:
    if sensor not in (None, (aedat2.SIDE, aedat2.SIDE)):
        raise UsageError(f"{path} is of a DVS128, which has 128 x 128 pixels, got {sensor}.")
    return aedat2.read_aedat2(path)
