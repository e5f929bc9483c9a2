"""AEDAT 4: packets of events of a DV camera, FlatBuffers in LZ4 frames, read within bounds."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tracegrad.data.events import Events
from tracegrad.data.extras import extra
from tracegrad.data.formats.listed import listed, pixels, read_bytes
from tracegrad.errors import DataError

MAGIC = b"#!AER-DAT4.0\r\n"
LARGEST = 2**28  # bytes of a file, and of all of its packets of events after unpacking
LARGEST_PACKET = 2**26  # bytes of a packet after unpacking; four million events
NONE, LZ4 = (0,), (1, 2)  # numbers of the compressions that are read; 3 and 4 are Zstandard
EVENT = np.dtype(
    {
        "names": ["time", "x", "y", "on"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)


class _Table(NamedTuple):
    """A FlatBuffers table: its buffer, and where it and its field offsets begin."""

    content: bytes
    start: int
    fields: int


def read_aedat4(path: Path, width: int = 346, height: int = 260) -> Events:
    """All polarity events of a file: lines y `width` + x, times from the first event on.

    Packets of frames, motion and triggers are left out. Source: iniVation, AEDAT 4.0 file format,
    and the FlatBuffers encoding.

        events = read_aedat4(Path("recording.aedat4"), width=320, height=240)
    """
    content = read_bytes(path, LARGEST)
    if not content.startswith(MAGIC):
        raise DataError(f"{path}: is no AEDAT 4.0 file, its header says otherwise. Replace it.")
    try:
        parts = [_events(packet) for packet in _packets(content, path)]
    except _Broken as error:
        raise DataError(f"{path}: {error}. The file is cut or broken; replace it.") from error
    raw = np.concatenate([np.empty(0, EVENT), *parts])
    x, y, time = (raw[name].astype(np.int64) for name in ("x", "y", "time"))
    if (raw["on"] > 1).any():
        raise DataError(f"{path}: polarity must be 0 or 1 everywhere. Replace the file.")
    line = pixels(path, x, y, width, height)
    first = time[0] if len(time) else 0
    return listed(path, time - first, line, width * height, raw["on"].astype(np.int8))


class _Broken(Exception):
    """What a read outside the bounds says."""


def _packets(content: bytes, path: Path) -> Iterator[bytes]:
    """The unpacked packets of events, between the header and the table of contents."""
    at = len(MAGIC)
    size = _number(content, at, 4)
    header = _table(_part(content, at, 4 + size), b"IOHE")
    compression, end = (
        _scalar(header, 0, 4, default=0),
        _scalar(header, 1, 8, default=-1),
    )
    if compression not in NONE + LZ4:
        raise DataError(f"{path}: is packed with Zstandard. Write it again with LZ4 or without.")
    at, end, left = at + 4 + size, len(content) if end < 0 else end, LARGEST
    while at < end:
        packed = _part(content, at + 8, _number(content, at + 4, 4))
        at += 8 + len(packed)
        unpacked = _unpacked(packed) if compression in LZ4 else packed
        if unpacked[8:12] == b"EVTS":
            left -= len(unpacked)
            if left < 0:
                raise _Broken(f"its packets unpack to more than {LARGEST} bytes")
            yield unpacked


def _unpacked(packed: bytes) -> bytes:
    frame = extra("lz4.frame", "AEDAT 4 files").LZ4FrameDecompressor()
    try:
        content = frame.decompress(packed, max_length=LARGEST_PACKET)
    except RuntimeError as error:
        raise _Broken(f"a packet is no LZ4 frame ({error})") from error
    if not frame.eof:
        raise _Broken(f"a packet ends early or unpacks to more than {LARGEST_PACKET} bytes")
    return content


def _events(packet: bytes) -> np.ndarray:
    """The vector of events, field 0 of the packet's table."""
    table = _table(packet, b"EVTS")
    where = _field(table, 0)
    if not where:
        return np.empty(0, EVENT)
    vector = where + _number(packet, where, 4)
    count = _number(packet, vector, 4)
    return np.frombuffer(_part(packet, vector + 4, count * EVENT.itemsize), EVENT)


def _table(content: bytes, name: bytes) -> _Table:
    """The root table of a buffer with its size in front."""
    if content[8:12] != name:
        raise _Broken(f"a buffer is named {content[8:12]!r}, not {name!r}")
    start = 4 + _number(content, 4, 4)
    fields = start - _number(content, start, 4, signed=True)
    return _Table(content, start, fields)


def _field(table: _Table, index: int) -> int:
    """Where a field of a table begins, 0 if it is left out."""
    entry = 4 + 2 * index
    if entry + 2 > _number(table.content, table.fields, 2):
        return 0
    offset = _number(table.content, table.fields + entry, 2)
    return table.start + offset if offset else 0


def _scalar(table: _Table, index: int, size: int, default: int) -> int:
    where = _field(table, index)
    return _number(table.content, where, size, signed=True) if where else default


def _number(content: bytes, at: int, size: int, signed: bool = False) -> int:
    return int.from_bytes(_part(content, at, size), "little", signed=signed)


def _part(content: bytes, at: int, size: int) -> bytes:
    if not (at >= 0 and 0 <= size <= len(content) - at):
        raise _Broken(f"{size} bytes are announced at {at}, of {len(content)} in all")
    return content[at : at + size]
