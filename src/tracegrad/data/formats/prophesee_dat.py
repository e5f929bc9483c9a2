"""Prophesee DAT: events of an ATIS camera, eight bytes each (N-CARS and others)."""

from pathlib import Path

import numpy as np

from tracegrad.data.events import Events
from tracegrad.data.formats.listed import after_comments, listed, pixels, read_bytes, word_pairs
from tracegrad.errors import DataError

LARGEST = 2**28  # bytes; 33 million events
KINDS = (0x00, 0x0C)  # "2D" and "CD" events, of one layout


def read_dat(path: Path, width: int = 304, height: int = 240) -> Events:
    """The events of a file: lines y `width` + x, times as they are (microseconds).

    After lines of text that begin with `%` come the kind of events and their size, a byte each;
    an event is a time of 4 bytes and 4 bytes of x (bits 0 to 13), y (14 to 27) and polarity (28 to
    31, 1 ON), little-endian. Source: Prophesee, DAT file format.

        events = read_dat(Path("obj_000001_td.dat"), width=120, height=100)
    """
    content = read_bytes(path, LARGEST)
    start = after_comments(path, content, b"%")
    kind = content[start : start + 2]
    if not start or len(kind) != 2 or kind[0] not in KINDS or kind[1] != 8:
        raise DataError(
            f"{path}: must hold events of 8 bytes of kind 0 or 12 behind a header of %, says "
            f"{kind.hex()!r}. Check that it is a DAT file."
        )
    time, data = word_pairs(path, content, start + 2, "<u4")
    if (data >> 29).any():
        raise DataError(f"{path}: polarity must be 0 or 1 everywhere. Replace the file.")
    line = pixels(path, data & 0x3FFF, data >> 14 & 0x3FFF, width, height)
    return listed(path, time, line, width * height, (data >> 28).astype(np.int8))
