"""Processes: several that train together over one mesh, found by JAX, lost with a clear word."""

import atexit
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import jax

from tracegrad.errors import UsageError

AUTO = "auto"
HEARTBEAT = 20  # seconds of silence after which a process counts as gone
# What JAX says where the others cannot be reached; it has no class of error of its own for it.
GONE = re.compile("gloo|nccl|unavailable|coordination service|deadline", re.IGNORECASE)


@dataclass(frozen=True)
class Processes:
    """Which of several processes this is, and where they meet."""

    coordinator: str | None = None
    """Where several processes meet: HOST:PORT of the first, or auto under SLURM or Open MPI; None:
    this process is alone."""
    processes: int | None = None
    """How many processes there are, with HOST:PORT."""
    process: int | None = None
    """Which of them this is, from 0 on, with HOST:PORT."""

    def __post_init__(self) -> None:
        """Refuse half of it."""
        told = (self.processes is not None, self.process is not None)
        named = self.coordinator not in (None, AUTO)
        if told != (named, named):
            raise UsageError(
                "Several processes need coordinator, processes and process: --coordinator "
                "HOST:PORT --processes 2 --process 0, or --coordinator auto alone."
            )
        if self.coordinator is not None and named and ":" not in self.coordinator:
            raise UsageError(f"coordinator must be HOST:PORT or auto, got {self.coordinator}.")
        if self.processes is not None and self.process is not None:
            if not 0 <= self.process < self.processes:
                raise UsageError(
                    f"process must lie in [0, {self.processes}), got {self.process}. Count from 0."
                )


class LostError(UsageError):
    """Another process has gone, so this one cannot go on."""


@contextmanager
def together(given: Processes) -> Iterator[None]:
    """Meet the other processes, if there are any, before anything else of JAX.

    `LostError` where one of them has gone meanwhile. One that fails ends at once, and so do then
    the others. Where the first has gone, JAX itself may end the others before they can say so.
    """
    if given.coordinator is None:
        yield
        return
    try:
        _meet(given)
        yield
    except BaseException as error:
        # JAX waits at the end for all others, who may wait for this one: this comes before it.
        atexit.register(_end, _code(error))
        if isinstance(error, RuntimeError | ValueError) and GONE.search(str(error)):
            raise _lost(error) from error
        raise


def _meet(given: Processes) -> None:
    address = None if given.coordinator == AUTO else given.coordinator
    count, which = given.processes, given.process
    try:
        jax.distributed.initialize(address, count, which, heartbeat_timeout_seconds=HEARTBEAT)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"The processes did not meet: {_reason(error)}. Check who starts them, and where."
        ) from error


def _lost(error: Exception) -> LostError:
    """The same with what was noted of the run, such as its last good checkpoint."""
    lost = LostError(
        f"Another process has gone or cannot be reached ({_reason(error)}). Start all of them "
        "again; fewer will do, over a smaller mesh."
    )
    for note in getattr(error, "__notes__", []):
        lost.add_note(note)
    return lost


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")[:200]


def _code(error: BaseException) -> int:
    """What the command line returns for an error."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, UsageError | OSError) or GONE.search(str(error)) else 1


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
