"""AEDAT 2: events of a DVS128 camera, eight bytes each, as jAER writes them."""

from pathlib import Path

import numpy as np

from tracegrad.data.events import Events
from tracegrad.data.formats.listed import after_comments, listed, read_bytes, word_pairs
from tracegrad.errors import DataError

SIDE = 128  # pixels
LARGEST = 2**28  # bytes; 33 million events
MAGIC = b"#!AER-DAT2.0"


def read_aedat2(path: Path) -> Events:
    """The events of a DVS128: lines y 128 + x, times from the first event on.

    After lines of text that begin with `#`, an event is an address and a time in microseconds, 4
    bytes each, big-endian: bit 0 polarity (0 ON), bits 1 to 7 x from the right, bits 8 to 14 y.
    Source: iniVation, AEDAT 2.0 file format.

        events = read_aedat2(Path("recording.aedat"))
    """
    content = read_bytes(path, LARGEST)
    if not content.startswith(MAGIC):
        raise DataError(f"{path}: is no AEDAT 2.0 file, its header says otherwise. Replace it.")
    address, time = word_pairs(path, content, after_comments(path, content, b"#"), ">u4")
    if (address >> 15).any():
        raise DataError(f"{path}: has events that are not of a DVS128. Check the camera.")
    line = (address >> 8) * SIDE + SIDE - 1 - (address >> 1 & 127)
    first = time[0] if len(time) else 0
    return listed(path, time - first, line, SIDE**2, (1 - (address & 1)).astype(np.int8))
