"""Descriptor: bytes of an open file, a pipe or standard input, as they come."""

import os
import select
from collections.abc import Iterator

SIZE = 2**16  # bytes at a time
PAUSE = 0.05  # seconds after which silence is said


def descriptor_bytes(descriptor: int) -> Iterator[bytes]:
    """Bytes until the end; nothing (b"") whenever nothing came for a moment. Memory: 64 KiB."""
    while True:
        ready, _, _ = select.select([descriptor], [], [], PAUSE)
        content = os.read(descriptor, SIZE) if ready else b""
        if ready and not content:
            return
        yield content
