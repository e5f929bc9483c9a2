"""Bad input: each kind stops the stream or is skipped and counted; no bytes make it crash."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.flow import CLASSES, FORM, LINES, as_binary, as_text, chunks, flow, same, steps_of
from tracegrad.data import Events
from tracegrad.errors import DataError
from tracegrad.stream.counts import Ledger
from tracegrad.stream.sources.binary import MAGIC
from tracegrad.stream.sources.framed import framed_pieces
from tracegrad.stream.sources.records import Event, Label, records
from tracegrad.stream.sources.udp import _piece, udp_pieces

GOOD = [Event(1000, 0), Event(2000, 1), Label(2000, 1)]
WEEK = 7 * 24 * 3_600_000_000
BAD_RECORDS = [
    (Event(1999, 0), "unsorted", "Events must be sorted by time, but one at 1999 us came late"),
    (Event(-1, 0), "negative", "Times must not be negative, got -1 us"),
    (Event(2**53 + 1, 0), "huge", "Times must be microseconds below 2.53, got 9007199254740993"),
    (Event(2001 + WEEK, 0), "leap", "Time must not leap by more than a week"),
    (Event(2000, LINES), "line", r"Lines must lie in \[0, 6\), got 6"),
    (Event(2000, -1), "line", r"Lines must lie in \[0, 6\), got -1"),
    (Event(2000, 0, 1), "polarity", "has a polarity, but none was announced"),
    (Label(2000, CLASSES), "class", r"Classes must lie in \[0, 2\), got 2"),
    (Label(8000, 1), "far", "Labels must lie within 5 steps"),
    (Event(2000.0, 0), "object", "A record must be an Event or a Label of whole numbers"),
    (Event(float("nan"), 0), "object", "A record must be"),
    (Event(2**70, 0), "object", "A record must be"),
    (Event(2000, 0, 7), "object", "A record must be"),
    ((2000, 0), "object", "A record must be"),
    (None, "object", "A record must be"),
]
BAD_TEXT = [
    (b"nan 3\n", "line of text", r"A line must be .* got 'nan 3'"),
    (b"1e3 3\n", "line of text", "A line must be"),
    (b"2000 3.0\n", "line of text", "A line must be"),
    (b"2000\n", "line of text", "A line must be"),
    (b"2000 1 2\n", "line of text", "A line must be"),
    (b"label 2000 1 1\n", "line of text", "A line must be"),
    (b"label 2000 nan\n", "line of text", "A line must be"),
    (b"9" * 19 + b" 3\n", "line of text", "A line must be"),
    (b"2000 3" + b" " * 300 + b"\n", "line of text", "A line must be"),
    (b"\xff\x00\n", "line of text", "A line must be"),
    (b"2000 3", "half", "The source ends inside a line"),
    (b"7" * 1000, "line of text", "A line must be"),
]
GOOD_BYTES = as_binary(GOOD)
ONE = as_binary([Event(2000, 0)])[len(MAGIC) :]
BAD_BINARY = [
    (ONE[:-1], "half", "The source ends inside a record, after 15 bytes"),
    (ONE[:12] + b"\x02" + ONE[13:], "record", "A record must be of kind 0 or 1"),
    (ONE[:13] + b"\x05" + ONE[14:], "record", "polarity -1, 0 or 1"),
    (ONE[:15] + b"\x01", "record", "end in zeros"),
    (b"\xff" * 16, "record", "A record must be of kind"),
]


def both(make, kind: str, sentence: str, more) -> None:
    """Stops with the sentence after all that was good, or skips it and learns what follows."""
    ledger = Ledger()
    with pytest.raises(DataError, match=sentence):
        steps_of(make(), ledger=ledger)
    counts = ledger.counts
    assert counts.refusals == {kind: 1} and counts.events.refused + counts.labels.refused == 1
    assert (counts.events.read, counts.labels.read) in ((3, 1), (2, 2))
    said = []
    steps, ledger = steps_of(make(), ledger=Ledger(False, said.append))
    assert same(steps, steps_of(records([*GOOD, *more]))[0])
    assert ledger.counts.balanced and ledger.counts.refusals == {kind: 1}
    assert len(said) == 1 and "Skipped and counted" in said[0]


AFTER = [Event(2500, 2), Event(4000, 3)]


@pytest.mark.parametrize(("bad", "kind", "sentence"), BAD_RECORDS)
def test_bad_records(bad, kind, sentence):
    both(lambda: records(iter([*GOOD, bad, *AFTER])), kind, sentence, AFTER)


@pytest.mark.parametrize(("bad", "kind", "sentence"), BAD_TEXT)
def test_bad_text(bad, kind, sentence):
    after = AFTER if bad.endswith(b"\n") else []
    content = as_text(GOOD) + bad + as_text(after)
    for size in (3, 2**16):
        both(lambda size=size: framed_pieces(chunks(content, size)), kind, sentence, after)


@pytest.mark.parametrize(("bad", "kind", "sentence"), BAD_BINARY)
def test_bad_binary(bad, kind, sentence):
    after = AFTER if len(bad) == 16 else []
    content = GOOD_BYTES + bad + as_binary(after)[len(MAGIC) :]
    for size in (3, 2**16):
        both(lambda size=size: framed_pieces(chunks(content, size)), kind, sentence, after)


def test_bytes_of_another_kind():
    ledger = Ledger(stop=False)
    assert steps_of(framed_pieces([b"\x89PNG\r\n\x1a\n" + bytes(99)]), ledger=ledger)[0] == []
    assert ledger.counts.refusals == {"framing": 1}
    ledger = Ledger(stop=False)
    assert steps_of(framed_pieces([MAGIC[:3]]), ledger=ledger)[0] == []
    assert ledger.counts.refusals == {"half": 1}


def test_polarity_that_was_announced_must_come():
    form = FORM._replace(polarity=True)
    with pytest.raises(DataError, match="has no polarity, but ON and OFF were announced"):
        steps_of(records([Event(0, 0)]), form)
    with pytest.raises(DataError, match=r"Lines must lie in \[0, 3\), got 3"):
        steps_of(records([Event(0, 3, 1)]), form)


def test_one_broken_time_does_not_hide_what_follows():
    ledger = Ledger(stop=False)
    flow_ = [Event(1000, 0), Event(2**52, 0), Event(2**52 + 1, 0), *AFTER]
    array = Events(np.array([1000, 2**52, 2**52 + 1]), np.zeros(3, np.int64), LINES)
    for source in (flow_, [array, *AFTER]):
        steps, ledger = steps_of(records(source), ledger=Ledger(stop=False))
        assert sum(step.events for step in steps) == 3 and ledger.counts.refusals == {"leap": 2}


words = st.one_of(
    st.binary(max_size=40),
    st.integers(-(2**70), 2**70).map(lambda n: str(n).encode()),
    st.sampled_from([b"\n", b" ", b"label ", b"1 2\n", b"nan", b"#", b",", MAGIC, b"\x89"]),
)


def survives(pieces, form=FORM) -> None:
    steps, ledger = steps_of(pieces, form, Ledger(stop=False))
    assert ledger.counts.balanced
    assert len(steps) <= ledger.counts.events.read * (1 + form.gap)
    assert all(step.x.sum() == step.events and step.x.min() >= 0 for step in steps)


@given(st.lists(words, max_size=40), st.integers(1, 50), st.booleans())
def test_no_text_or_binary_crashes(parts, size, polarity):
    content = b"".join(parts)
    survives(framed_pieces(chunks(content, size)), FORM._replace(polarity=polarity))


@given(st.binary(max_size=400), st.booleans())
def test_no_binary_records_crash(content, polarity):
    survives(framed_pieces([MAGIC, content]), FORM._replace(polarity=polarity))


class Packets:
    """A receiver of given packets."""

    def __init__(self, packets):
        self.packets = iter(packets)

    def recv(self, size: int) -> bytes:
        packet = next(self.packets, None)
        if packet is None:
            raise KeyboardInterrupt
        return packet

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


@given(st.lists(st.binary(max_size=100), max_size=12), st.booleans(), st.booleans())
def test_no_packet_crashes(packets, polarity, fit):
    if fit:
        packets = [packet + bytes((4 - len(packet)) % 8 + 8) for packet in packets]

    def until_the_end():
        try:
            yield from getattr(udp_pieces, "__wrapped__", udp_pieces)(Packets(packets), polarity)
        except KeyboardInterrupt:
            return

    survives(until_the_end(), FORM._replace(polarity=polarity))


ints = st.one_of(st.integers(-3, 5000), st.integers(-(2**70), 2**70))
things = st.one_of(
    st.builds(Event, ints, st.integers(-2, 8), st.sampled_from([None, 0, 1, 2, -1])),
    st.builds(Label, ints, st.integers(-2, 4)),
    st.just(None),
    st.floats().map(lambda time: Event(time, 0)),
)


@given(st.lists(things, max_size=40), st.booleans())
def test_no_record_crashes(flow_, polarity):
    survives(records(iter(flow_)), FORM._replace(polarity=polarity))


def test_a_line_without_end_takes_no_memory():
    def endless():
        for _ in range(2000):
            yield b"7" * 2**16  # 130 MB
        yield b"\n1 2\n"

    steps, ledger = steps_of(framed_pieces(endless()), ledger=Ledger(stop=False))
    assert ledger.counts.refusals == {"line of text": 1} and len(steps) == 1


def test_a_million_bad_lines_say_one_sentence():
    said = []
    ledger = Ledger(False, said.append)
    steps_of(framed_pieces(chunks(b"x\n" * 10_000, 2**16)), ledger=ledger)
    assert len(said) == 1 and ledger.counts.events.refused == 10_000 and ledger.counts.balanced


def test_a_good_flow_has_no_refusal():
    assert steps_of(records(flow(300, 0)))[1].counts.refusals == {}
    assert callable(_piece)
