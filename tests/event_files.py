"""Small files in the formats of event cameras, written byte by byte."""

import struct

import lz4.frame
import numpy as np

HEADER = (
    b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-07-11 14:17:24\r\n"
    b"#!END-HEADER\r\n"
)
HEADER2 = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
HEADER_DAT = b"% Data file\n% Version 2\n"


def nmnist_bytes(events) -> bytes:
    """Rows of x, y, polarity, time: five bytes each, the last three big-endian."""
    return b"".join(
        bytes([x, y]) + (int(p) << 23 | int(t)).to_bytes(3, "big") for x, y, p, t in events
    )


def aedat3_packet(events, kind: int = 1, **change: int) -> bytes:
    """A packet of polarity events, rows of x, y, polarity, time, valid; `change` its header."""
    body = b"".join(
        struct.pack("<Ii", x << 17 | y << 2 | p << 1 | valid, t) for x, y, p, t, valid in events
    )
    head = {
        "kind": kind,
        "source": 1,
        "size": 8,
        "offset": 4,
        "overflow": 0,
        "capacity": len(events),
        "number": len(events),
        "valid": sum(row[4] for row in events),
    }
    assert change.keys() <= head.keys()
    return struct.pack("<hhiiiiii", *(head | change).values()) + body


def aedat3_bytes(*packets: bytes) -> bytes:
    return HEADER + b"".join(packets)


def idx_bytes(array: np.ndarray) -> bytes:
    """An idx file of unsigned bytes."""
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def aedat2_bytes(*events: tuple[int, int, int, int]) -> bytes:
    """Rows of x, y, ON, time: x counts from the right, bit 0 is OFF."""
    words = [(y << 8 | (127 - x) << 1 | 1 - on, t) for x, y, on, t in events]
    return HEADER2 + b"".join(struct.pack(">II", *word) for word in words)


def dat_bytes(*events: tuple[int, int, int, int], kind: bytes = b"\x0c\x08") -> bytes:
    rows = (struct.pack("<II", t, p << 28 | y << 14 | x) for x, y, p, t in events)
    return HEADER_DAT + kind + b"".join(rows)


def table(name: bytes, fields: bytes, entries: list[int]) -> bytes:
    """A size-prefixed FlatBuffer with one table: its field offsets stand in front of it."""
    offsets = struct.pack("<HH", 4 + 2 * len(entries), 4 + len(fields))
    offsets += b"".join(struct.pack("<H", entry) for entry in entries)
    offsets += bytes(-len(offsets) % 4)
    root = 8 + len(offsets)
    body = struct.pack("<I", root) + name + offsets + struct.pack("<i", len(offsets)) + fields
    return struct.pack("<I", len(body)) + body


def event_packet(*events: tuple[int, int, int, int], count: int | None = None) -> bytes:
    rows = b"".join(struct.pack("<qhhBxxx", t, x, y, on) for x, y, on, t in events)
    number = len(events) if count is None else count
    return table(b"EVTS", struct.pack("<II", 4, number) + rows, [4])


def aedat4_bytes(*packets: bytes, compression: int = 1, end: int = -1) -> bytes:
    head = table(b"IOHE", struct.pack("<iq", compression, end), [4, 8])
    packed = [lz4.frame.compress(p) if compression else p for p in packets]
    framed = (struct.pack("<ii", 0, len(p)) + p for p in packed)
    return b"#!AER-DAT4.0\r\n" + head + b"".join(framed)
