"""Bins: timed events and labels become time steps."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from tracegrad.stream.counts import Ledger
from tracegrad.stream.form import Form
from tracegrad.stream.piece import Piece

NO_LABEL = -1


class Step(NamedTuple):
    """A closed time step, or `width` of them in one.

    `start` in microseconds; `x` counts the events of each column, `events` in all; `label` is a
    class, or -1; `late` says whether the label's own step was over, `came` when the step was closed
    (seconds of `perf_counter`).
    """

    start: int
    x: Float32[np.ndarray, "m"]
    events: int
    label: int = NO_LABEL
    late: bool = False
    width: int = 1
    came: float = 0.0


class Bins:
    r"""Counts the events of each column in each time step, $\lfloor\tau/\Delta t\rfloor=t$.

    A step is closed by an event of a later one, or by the end. A label of the open step, or of one
    that is over, is given to the open step: the error is made where the label arrives, at the
    readout and the traces of that step. A label of a step to come waits for it. A step keeps its
    last label; one that it takes the place of is dropped, with a count. More than `form.gap` empty
    steps are cut to so many: the others are counted, and labels that waited for them dropped.
    Memory: O(m), and a number for each step of the label window. Time: O(N + steps m).
    """

    def __init__(self, form: Form, ledger: Ledger):
        self._form, self._ledger = form, ledger
        self._open: int | None = None  # index of the open step
        self._x = np.zeros(form.columns, np.int64)
        self._events = 0
        self._label, self._late = NO_LABEL, False
        self._waiting: dict[int, int] = {}  # labels of steps to come

    def feed(self, piece: Piece) -> Iterator[Step]:
        """The steps that these records close."""
        start = 0
        for at in (*np.flatnonzero(piece.label).tolist(), len(piece.time)):
            yield from self._add(piece.time[start:at], piece.value[start:at])
            if at < len(piece.time):
                self._hear(int(piece.time[at]) // self._form.width, int(piece.value[at]))
            start = at + 1

    def finish(self) -> Iterator[Step]:
        """The open step; labels that still wait are dropped, with a count."""
        if self._open is not None:
            yield self._closed(self._open)
            self._open = None
        self._forget(list(self._waiting))

    def _add(self, time: Int64[np.ndarray, "N"], column: Int64[np.ndarray, "N"]) -> Iterator[Step]:
        steps = time // self._form.width
        starts = np.flatnonzero(np.diff(steps, prepend=-1)).tolist()
        for start, end in pairwise((*starts, len(steps))):
            yield from self._reach(int(steps[start]))
            self._x += np.bincount(column[start:end], minlength=self._form.columns)
            self._events += end - start

    def _reach(self, step: int) -> Iterator[Step]:
        """Close steps until `step` is the open one."""
        now = self._first(step) if self._open is None else self._open
        last = now + self._form.gap
        while now < step:
            yield self._closed(now)
            skips = now == last and step > last + 1
            now = self._skip(last + 1, step) if skips else now + 1
            self._open, self._label = now, self._waiting.pop(now, NO_LABEL)

    def _first(self, step: int) -> int:
        """The first event opens a step; of the labels before it the latest within the window."""
        near = [s for s in self._waiting if step - self._form.window <= s <= step]
        if near:
            self._label, self._late = self._waiting.pop(max(near)), max(near) < step
        self._forget([s for s in self._waiting if s <= step])
        self._open = step
        return step

    def _skip(self, start: int, step: int) -> int:
        counts = self._ledger.counts
        counts.jumps += 1
        counts.steps_skipped += step - start
        self._forget([s for s in self._waiting if s < step])
        self._ledger.say(
            "jump",
            f"No event for {(step - start + self._form.gap) * self._form.width / 1e6:g} s: the "
            f"network saw {self._form.gap} empty steps of them, {step - start} are left out. "
            "Longer gaps than that are only counted from now on.",
        )
        return step

    def _hear(self, step: int, label: int) -> None:
        """A label of the open step or before it is the open step's, a later one waits."""
        if self._open is None or step > self._open:
            full = len(self._waiting) > self._form.window and step not in self._waiting
            oldest = [min(self._waiting)] if full else []
            self._forget([step] if step in self._waiting else oldest)
            self._waiting[step] = label
        else:
            self._ledger.counts.labels.dropped += self._label != NO_LABEL
            self._label, self._late = label, step < self._open

    def _forget(self, steps: list[int]) -> None:
        for step in steps:
            del self._waiting[step]
        self._ledger.counts.labels.dropped += len(steps)

    def _closed(self, step: int) -> Step:
        start = step * self._form.width
        x = self._x.astype(np.float32)
        closed = Step(start, x, self._events, self._label, self._late)
        self._x[:] = 0
        self._events, self._label, self._late = 0, NO_LABEL, False
        return closed
