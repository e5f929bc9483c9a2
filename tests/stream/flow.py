"""A flow of events and labels, written in every form that a source may have."""

import struct
from collections.abc import Iterable
from itertools import groupby

import numpy as np

from tracegrad.data import Events
from tracegrad.stream.bins import Bins, Step
from tracegrad.stream.counts import Ledger
from tracegrad.stream.form import Form
from tracegrad.stream.gate import Gate
from tracegrad.stream.piece import Piece
from tracegrad.stream.sources.binary import MAGIC
from tracegrad.stream.sources.records import Event, Label

LINES, CLASSES, WIDTH = 6, 2, 1000
FORM = Form(LINES, CLASSES, WIDTH, window=5, gap=20)
Record = Event | Label
SETTINGS = """
format = 2
task = "digits"
[network]
hidden = [8]
neuron = "LIF"
input_gain = 6.0
[learning]
rule = "eprop"
update_every = 4
"""


def flow(number: int, seed: int, polarity: bool = False, per_step: int = 4) -> list[Record]:
    """Sorted events, and after every ninth a label of now."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, number * WIDTH // per_step, number))
    found: list[Record] = []
    for index, time in enumerate(times.tolist()):
        line = int(rng.integers(LINES // 2 if polarity else LINES))
        found.append(Event(time, line, int(rng.integers(2)) if polarity else None))
        if index % 9 == 8:
            found.append(Label(time, int(rng.integers(CLASSES))))
    return found


def blocks(records: Iterable[Record]) -> list[Events | Label]:
    """The same with events between two labels as one array, which is checked faster."""
    found: list[Events | Label] = []
    for label, some in groupby(records, key=lambda record: isinstance(record, Label)):
        if label:
            found.extend(some)
        else:
            time, line = np.array([record[:2] for record in some], np.int64).T
            found.append(Events(time, line, LINES))
    return found


def as_text(records: Iterable[Record]) -> bytes:
    lines = []
    for record in records:
        if isinstance(record, Label):
            lines.append(f"label {record.time} {record.label}\n")
        else:
            lines.append(" ".join(str(v) for v in record if v is not None) + "\n")
    return "".join(lines).encode()


def as_binary(records: Iterable[Record]) -> bytes:
    """By struct, as another program would write it."""
    rows = []
    for record in records:
        label = isinstance(record, Label)
        sign = -1 if label or record.polarity is None else record.polarity
        rows.append(struct.pack("<qIBbH", record[0], record[1], label, sign, 0))
    return MAGIC + b"".join(rows)


def as_packets(records: list[Record], size: int = 50, first: int = 7) -> list[bytes]:
    """UDP payloads, with times that are cut to 32 bits."""
    words = []
    for record in records:
        address = record[1] | (1 << 31 if isinstance(record, Label) else 0)
        if isinstance(record, Event) and record.polarity == 0:
            address |= 1 << 30
        words.append(struct.pack(">II", address, record[0] % 2**32))
    parts = [b"".join(words[at : at + size]) for at in range(0, len(words), size)]
    return [struct.pack(">I", (first + i) % 2**32) + part for i, part in enumerate(parts)]


def chunks(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def steps_of(
    pieces: Iterable[Piece], form: Form = FORM, ledger: Ledger | None = None
) -> tuple[list[Step], Ledger]:
    """All steps, without a learner: what of the counts it would write is written here."""
    ledger = ledger or Ledger()
    gate, bins = Gate(form, ledger), Bins(form, ledger)
    found: list[Step] = []
    for piece in pieces:
        for good in gate(piece):
            found.extend(bins.feed(good))
    found.extend(bins.finish())
    ledger.counts.events.learned = sum(step.events for step in found)
    ledger.counts.labels.learned = sum(step.label >= 0 for step in found)
    return found, ledger


def same(first: list[Step], second: list[Step]) -> bool:
    """Equal in everything but the array's identity."""
    plain = [[(*s[:1], s.x.tolist(), *s[2:]) for s in steps] for steps in (first, second)]
    return plain[0] == plain[1]
