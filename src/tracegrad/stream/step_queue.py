"""Step queue: steps between the thread that reads and the one that learns, bounded."""

import time
from collections import deque
from threading import Condition

from tracegrad.errors import UsageError
from tracegrad.stream.bins import Step
from tracegrad.stream.counts import Counts
from tracegrad.stream.when_full import AbstractWhenFull, drop


class StepQueue:
    """At most `most` steps; `when_full` says what happens to more."""

    def __init__(self, most: int, when_full: AbstractWhenFull, counts: Counts):
        if most < 2:
            raise UsageError(f"A queue must hold at least 2 steps, got {most}. Give it more.")
        self._most, self._when_full, self._counts = most, when_full, counts
        self._steps: deque[Step] = deque()
        self._changed = Condition()
        self._closed = self._abandoned = False

    def put(self, step: Step) -> None:
        """Add a step, if need be after waiting for room."""
        with self._changed:
            while len(self._steps) >= self._most and not self._abandoned:
                if not self._when_full.relieve(self._steps, self._counts):
                    self._changed.wait()
            if self._abandoned:
                drop(step, self._counts)
                return
            self._steps.append(step._replace(came=time.perf_counter()))
            self._changed.notify_all()

    def take(self, most: int, unit: int) -> list[Step]:
        """Whole units of steps, at most `most` steps, as soon as there is a unit.

        After the end also what is left of a unit, and then nothing.
        """
        with self._changed:
            while len(self._steps) < unit and not self._closed:
                self._changed.wait()
            here = min(most, len(self._steps))
            whole = here // unit * unit or here  # less than a unit only after the end
            taken = [self._steps.popleft() for _ in range(whole)]
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """No more steps will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nobody learns any more: what still comes is dropped, with a count, and nobody waits."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def restore(self, steps: list[Step]) -> None:
        """Put back steps that were taken but not learned from."""
        with self._changed:
            self._steps.extendleft(reversed(steps))

    def drain(self) -> None:
        """Drop what is here, with a count."""
        with self._changed:
            while self._steps:
                drop(self._steps.popleft(), self._counts)
