"""Small files in the formats of event cameras, written byte by byte."""

import struct

import numpy as np

HEADER = (
    b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-07-11 14:17:24\r\n"
    b"#!END-HEADER\r\n"
)


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
