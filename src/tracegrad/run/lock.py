"""Lock: one process at a time writes into a run folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracegrad.errors import UsageError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder; `UsageError` if another process holds it.

    The lock is the kernel's and on the folder itself: it leaves no file behind, and it is gone with
    the process, however that ends.
    """
    file = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{folder} is in use: another process trains in it. Wait for its end, or stop it."
            ) from error
        yield
    finally:
        os.close(file)
