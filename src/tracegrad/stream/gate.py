"""Gate: only records that can be learned from pass, the others are refused in one sentence."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int8, Int64

from tracegrad.stream.counts import Ledger
from tracegrad.stream.form import Form
from tracegrad.stream.piece import NO_POLARITY, Piece, Refusal

LATEST = 2**53  # microseconds, 285 years: beyond it are nanoseconds since 1970, or broken bytes
LEAP = 7 * 86_400_000_000  # microseconds: a source may be silent for a week
GOOD, HUGE, NEGATIVE, POLARITY, LINE, CLASS, BACK, AHEAD, FAR = range(9)
KINDS = ("", "huge", "negative", "polarity", "line", "class", "unsorted", "leap", "far")

Kinds = Int8[np.ndarray, "N"]
Times = Int64[np.ndarray, "N"]
Marks = Bool[np.ndarray, "N"]


class Gate:
    """Checks records, turns lines with polarity into columns, and counts what is read.

    Events must be sorted by time; a label may lie `form.window` steps before or after the step of
    the last event. A time a week ahead of the last event is refused, so that one broken time does
    not make all that follow look late. O(N) time and memory for a piece.
    """

    def __init__(self, form: Form, ledger: Ledger):
        self._form, self._ledger = form, ledger
        self.clock: int | None = None  # time of the last event that passed

    def __call__(self, piece: Piece) -> Iterator[Piece]:
        """What passes; a `DataError` of a ledger that stops comes after all before the bad one."""
        counts = self._ledger.counts
        counts.packets_lost += piece.lost
        why = self._why(piece)
        bad = np.flatnonzero(why)
        end = bad[0] + 1 if len(bad) and self._ledger.stop else len(why)
        labels = int(piece.label[:end].sum())
        counts.labels.read += labels
        counts.events.read += int(end) - labels
        good = piece.take(slice(end)).take(why[:end] == GOOD)
        if len(good.time):
            yield self._placed(good)
        for kind in np.unique(why[bad[bad < end]]):
            wrong = (why == kind) & (np.arange(len(why)) < end)
            self._ledger.refuse(self._refusal(piece, wrong, int(kind)))
        if piece.refused is not None:
            counts.events.read += piece.refused.events
            counts.labels.read += piece.refused.labels
            self._ledger.refuse(piece.refused)

    def _placed(self, good: Piece) -> Piece:
        """Columns for lines; the clock goes on."""
        events = ~good.label
        if events.any():
            self.clock = int(good.time[events][-1])
        off = np.where(good.polarity == 0, self._form.lines, 0)
        return good._replace(value=good.value + off)

    def _why(self, piece: Piece) -> Kinds:
        """What is wrong with each record, 0 where nothing is."""
        time, value, label = piece.time, piece.value, piece.label
        why = np.zeros(len(time), np.int8)
        given = piece.polarity != NO_POLARITY
        for kind, wrong in (
            (HUGE, time > LATEST),
            (NEGATIVE, time < 0),
            (POLARITY, ~label & (given != self._form.polarity)),
            (LINE, ~label & ((value < 0) | (value >= self._form.lines))),
            (CLASS, label & ((value < 0) | (value >= self._form.classes))),
        ):
            why[(why == GOOD) & wrong] = kind
        self._order(why, time, label)
        self._near(why, time, label)
        return why

    def _order(self, why: Kinds, time: Times, label: Marks) -> None:
        """Events that go back, or too far ahead, seen from the last good one before them."""
        events = np.flatnonzero((why == GOOD) & ~label)
        while len(events):
            now = time[events]
            clock = now[0] if self.clock is None else self.clock
            latest = np.maximum.accumulate(np.maximum(now, clock))
            before = np.concatenate(([clock], latest[:-1]))
            leaps = np.flatnonzero(now - before > LEAP)
            if not len(leaps):
                why[events[now < latest]] = BACK
                break
            why[events[leaps[0]]] = AHEAD
            events = np.delete(events, leaps[0])

    def _near(self, why: Kinds, time: Times, label: Marks) -> None:
        """Labels too far from the step of the last good event before them."""
        unknown = -1  # before the first event every label is near
        first = unknown if self.clock is None else self.clock
        clock = np.maximum.accumulate(np.where((why == GOOD) & ~label, time, first))
        steps, width = time // self._form.width, self._form.width
        far = (clock != unknown) & (np.abs(steps - clock // width) > self._form.window)
        why[(why == GOOD) & label & far] = FAR

    def _refusal(self, piece: Piece, which: Marks, kind: int) -> Refusal:
        first = int(np.flatnonzero(which)[0])
        time, value = int(piece.time[first]), int(piece.value[first])
        sentence = {
            HUGE: f"Times must be microseconds below 2^53, got {time}. Convert them.",
            NEGATIVE: f"Times must not be negative, got {time} us. Subtract the start.",
            POLARITY: (
                f"An event at {time} us has no polarity, but ON and OFF were announced. Send it."
                if self._form.polarity
                else f"An event at {time} us has a polarity, but none was announced. Announce it."
            ),
            LINE: f"Lines must lie in [0, {self._form.lines}), got {value}. Check the source.",
            CLASS: f"Classes must lie in [0, {self._form.classes}), got {value}. Check the labels.",
            BACK: f"Events must be sorted by time, but one at {time} us came late. Sort them.",
            FAR: (
                f"Labels must lie within {self._form.window} steps of the last event, but one was "
                f"of {time} us. Send it in time, or widen the window of labels."
            ),
            AHEAD: f"Time must not leap by more than a week, but did to {time} us. Check it.",
        }[kind]
        labels = int(piece.label[which].sum())
        return Refusal(KINDS[kind], sentence, int(which.sum()) - labels, labels)
