"""Records: a Python iterable as a source."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tracegrad.data.events import Events
from tracegrad.stream.piece import NO_POLARITY, Piece, Refusal, piece_of
from tracegrad.stream.sources.camera import event_pieces


class Event(NamedTuple):
    """A spike of a line, at a time in microseconds; `polarity` 1 (ON), 0 (OFF) or None."""

    time: int
    line: int
    polarity: int | None = None


class Label(NamedTuple):
    """The class of the step of a time in microseconds."""

    time: int
    label: int


def records(source: Iterable[Event | Label | Events]) -> Iterator[Piece]:
    """Events one by one or many at a time (`Events`, much the faster), and labels, as they come."""
    for record in source:
        if isinstance(record, Events):
            yield from event_pieces(record)
        else:
            yield _piece(record)


def _piece(record: Any) -> Piece:
    match record:
        case Label(time, label):
            value, polarity = label, NO_POLARITY
        case Event(time, value, sign):
            polarity = NO_POLARITY if sign is None else sign
        case _:
            return piece_of([], _refused(record))
    if not all(map(_whole, (time, value, polarity))) or polarity not in (NO_POLARITY, 0, 1):
        return piece_of([], _refused(record))
    return piece_of([(int(time), int(value), int(polarity), isinstance(record, Label))])


def _whole(value: Any) -> bool:
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return number and -(2**63) <= int(value) < 2**63


def _refused(record: object) -> Refusal:
    label = isinstance(record, Label)
    sentence = (
        "A record must be an Event or a Label of whole numbers, polarity 0, 1 or None, or Events, "
        f"got {repr(record)[:80]}. Convert it; times are microseconds."
    )
    return Refusal("object", sentence, int(not label), int(label))
