"""AEDAT 3.1: packets of events of a DVS camera, and the label table beside a recording."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tracegrad.data.events import Events
from tracegrad.data.formats.listed import listed, pixels
from tracegrad.errors import DataError

MAGIC, END = b"#!AER-DAT3.1\r\n", b"#!END-HEADER\r\n"
LONGEST_HEADER = 2**16  # bytes of text before the first packet
LARGEST_PACKET = 2**26  # bytes; eight million events
POLARITY, POLARITY_BYTES = 1, 8  # type of a packet of polarity events, and bytes of an event
PACKET = struct.Struct("<hhiiiiii")
LABELS = "class,startTime_usec,endTime_usec"


class Label(NamedTuple):
    """One gesture of a recording: its class (from 1), first and one-past-last microsecond."""

    label: int
    start: int
    end: int


class _Packet(NamedTuple):
    kind: int
    source: int
    size: int
    offset: int
    overflow: int
    capacity: int
    number: int
    valid: int


def read_aedat3(path: Path, start: int, end: int, width: int = 128, height: int = 128) -> Events:
    """The polarity events from `start` to before `end` (microseconds), times from `start` on.

    Lines are y `width` + x. Events that are marked invalid are left out, as are packets of other
    kinds. Reads the file packet by packet: memory is one packet and the events that are asked for.
    Source: iniVation, AEDAT 3.1 file format.

        events = read_aedat3(Path("user01_led.aedat"), start=1_000_000, end=2_000_000)
    """
    parts = [np.empty((0, 2), np.int64)]
    with _open(path) as file:
        for packet, content in _packets(file, path):
            raw = np.frombuffer(content, "<u4").reshape(-1, 2)[: packet.number].astype(np.int64)
            raw[:, 1] += packet.overflow << 31
            inside = (raw[:, 0] & 1 == 1) & (raw[:, 1] >= start) & (raw[:, 1] < end)
            parts.append(raw[inside])
    data, time = np.concatenate(parts).T
    line = pixels(path, data >> 17, data >> 2 & 0x7FFF, width, height)
    return listed(path, time - start, line, width * height, (data >> 1 & 1).astype(np.int8))


def read_labels(path: Path, classes: int) -> list[Label]:
    """The label table of a recording: one line a gesture, classes from 1 to `classes`."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. It belongs to the recording of its name.")
    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER).decode("utf-8", "replace")
    first, *rows = text.replace("\r", "").strip().split("\n")
    if first != LABELS:
        raise DataError(f"{path}: must begin with {LABELS}, begins with {first[:60]!r}.")
    labels = []
    for number, row in enumerate(rows, start=2):
        cells = row.split(",")
        if len(cells) != 3 or not all(c.isascii() and c.isdigit() and len(c) < 16 for c in cells):
            raise DataError(f"{path}: line {number} must be three whole numbers, is {row[:60]!r}.")
        label = Label(*map(int, cells))
        if not (1 <= label.label <= classes and label.start < label.end):
            raise DataError(
                f"{path}: line {number} must have a class of 1 to {classes} and end after it "
                f"starts, is {row[:60]!r}."
            )
        labels.append(label)
    return labels


def _open(path: Path) -> BinaryIO:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    return path.open("rb")


def _packets(file: BinaryIO, path: Path) -> Iterator[tuple[_Packet, bytes]]:
    """The packets of polarity events; every size is checked before it is read."""
    left = path.stat().st_size - _skip_header(file, path)
    while left:
        packet = _Packet(*PACKET.unpack(_exactly(file, PACKET.size, path)))
        size = packet.capacity * packet.size
        left -= PACKET.size + size
        if min(packet.capacity, packet.size, packet.number, packet.overflow) < 0 or (
            packet.number > packet.capacity
        ):
            raise DataError(f"{path}: a packet announces impossible sizes. Replace the file.")
        if left < 0 or size > LARGEST_PACKET:
            raise DataError(
                f"{path}: a packet announces {size} bytes, more than there are or than "
                f"{LARGEST_PACKET}. The file is cut or broken; replace it."
            )
        content = _exactly(file, size, path)
        if packet.kind == POLARITY:
            if packet.size != POLARITY_BYTES or packet.offset != 4:
                raise DataError(f"{path}: a polarity event must have 8 bytes, has {packet.size}.")
            yield packet, content


def _skip_header(file: BinaryIO, path: Path) -> int:
    text = file.read(LONGEST_HEADER)
    end = text.find(END)
    if not text.startswith(MAGIC) or end < 0:
        raise DataError(f"{path}: is no AEDAT 3.1 file, its header says otherwise. Replace it.")
    file.seek(end + len(END))
    return end + len(END)


def _exactly(file: BinaryIO, size: int, path: Path) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise DataError(f"{path}: ends inside a packet. The file is cut; replace it.")
    return content
