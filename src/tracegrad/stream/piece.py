"""Piece: some records of a source, events and labels in the order in which they came."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8, Int64

NO_POLARITY = -1
MOST = 4096  # records of a piece, so that what is held of a source is bounded


class Refusal(NamedTuple):
    """Records that are none: how many events and labels, of what kind, and one sentence."""

    kind: str
    sentence: str
    events: int = 1
    labels: int = 0


class Piece(NamedTuple):
    """N records, and what came after them and is no record.

    `time` in microseconds; `value` is the line of an event and the class of a label; `polarity` is
    1 (ON), 0 (OFF) or -1 (an event is just a spike). `lost` counts packets that never came. An
    empty piece says that nothing came for a moment: it lets the reader look whether it shall stop.
    """

    time: Int64[np.ndarray, "N"]
    value: Int64[np.ndarray, "N"]
    polarity: Int8[np.ndarray, "N"]
    label: Bool[np.ndarray, "N"]
    refused: Refusal | None = None
    lost: int = 0

    def take(self, chosen: slice | Bool[np.ndarray, "N"]) -> "Piece":
        """Some of the records, alone."""
        arrays = (self.time, self.value, self.polarity, self.label)
        time, value, polarity, label = (array[chosen] for array in arrays)
        return Piece(time, value, polarity, label)

    def parts(self) -> "list[Piece]":
        """The same in pieces of at most `MOST` records."""
        starts = range(0, max(1, len(self.time)), MOST)
        parts = [self.take(slice(start, start + MOST)) for start in starts]
        return [*parts[:-1], parts[-1]._replace(refused=self.refused, lost=self.lost)]


def piece_of(rows: list[tuple[int, int, int, bool]], refused: Refusal | None = None) -> Piece:
    """A piece of rows of time, value, polarity and whether it is a label."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    polarity, label = table[:, 2].astype(np.int8), table[:, 3].astype(np.bool_)
    return Piece(table[:, 0], table[:, 1], polarity, label, refused)


IDLE = piece_of([])
