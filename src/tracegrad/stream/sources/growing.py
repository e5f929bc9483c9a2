"""Growing file: bytes from its beginning, then what is appended to it, for ever."""

import time
from collections.abc import Iterator
from pathlib import Path

from tracegrad.errors import DataError
from tracegrad.stream.sources.descriptor import PAUSE, SIZE


def file_bytes(path: Path, follow: bool = False) -> Iterator[bytes]:
    """Bytes of a file; with `follow` also what is appended later, and nothing (b"") meanwhile.

    `DataError` if the file becomes shorter than what was read of it: it is not the same any more.
    """
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file. Check the path.") from error
    with file:
        while True:
            content = file.read(SIZE)
            if not content and not follow:
                return
            if not content:
                if path.stat().st_size < file.tell():
                    raise DataError(f"{path}: was cut while it was read. Start again with it.")
                time.sleep(PAUSE)
            yield content or b""
