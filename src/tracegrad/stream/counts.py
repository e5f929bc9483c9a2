"""Counts: what became of every record of a stream, and of its steps."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tracegrad.errors import DataError
from tracegrad.stream.piece import Refusal


@dataclass
class Tally:
    """Records of one kind: `read` = `learned` + `dropped` + `refused` when a stream has ended."""

    read: int = 0
    learned: int = 0
    dropped: int = 0
    refused: int = 0

    @property
    def balanced(self) -> bool:
        """Whether nothing was lost without a count."""
        return self.read == self.learned + self.dropped + self.refused

    def __str__(self) -> str:
        return (
            f"{self.read} read = {self.learned} learned + {self.dropped} dropped + "
            f"{self.refused} refused"
        )


@dataclass
class Counts:
    """Events, labels and steps of a stream. Every number is written by one thread alone.

    Steps: `learned`, `dropped` by a full queue, `merged` into another, `skipped` in `jumps` of
    time.
    `labels_late` are learned labels whose own step was over, `packets_lost` datagrams that the
    numbers of their neighbours prove.
    """

    events: Tally = field(default_factory=Tally)
    labels: Tally = field(default_factory=Tally)
    steps_learned: int = 0
    steps_dropped: int = 0
    steps_merged: int = 0
    steps_skipped: int = 0
    jumps: int = 0
    labels_late: int = 0
    packets_lost: int = 0
    refusals: dict[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether no event and no label was lost without a count."""
        return self.events.balanced and self.labels.balanced

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for a JSON file."""
        return asdict(self)


class Ledger:
    """Counts, and says the first of each kind of trouble in one sentence.

    With `stop` the first bad record ends the stream with a `DataError`; without it is skipped.
    """

    def __init__(self, stop: bool = True, tell: Callable[[str], None] = lambda sentence: None):
        self.counts = Counts()
        self.stop = stop
        self._tell = tell
        self._told: set[str] = set()

    def refuse(self, refusal: Refusal) -> None:
        """Count what is refused; `DataError` if the first such ends the stream."""
        counts = self.counts
        counts.events.refused += refusal.events
        counts.labels.refused += refusal.labels
        number = refusal.events + refusal.labels
        counts.refusals[refusal.kind] = counts.refusals.get(refusal.kind, 0) + number
        if self.stop:
            raise DataError(refusal.sentence)
        self.say(refusal.kind, f"{refusal.sentence} Skipped and counted, like all of its kind.")

    def say(self, kind: str, sentence: str) -> None:
        """Say the sentence if it is the first of its kind."""
        if kind not in self._told:
            self._told.add(kind)
            self._tell(sentence)
