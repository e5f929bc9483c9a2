"""No bytes make a reader crash, hang, or fill the memory: it reads them, or says what is wrong."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from event_files import aedat4_bytes, event_packet
from fuzz_targets import TARGETS, Target
from tracegrad.errors import UsageError
from tracegrad.stream.sources.camera import camera_reader

EXAMPLES = 1000
SECONDS = 5.0  # of one example
LARGEST = 1 << 30  # bytes that the examples of a target may add to the memory of the process
TOKENS = (
    b"", b"\0", b"\xff", b"\n", b"\r\n", b"-", b"-1", b"1e999", b"nan", b"inf", b"true", b"none",
    b'"', b"'''", b"[", b"]" * 9, b"[" * 2000, b"{", b"}", b"#", b"=", b".", b":", b"../", b"/",
    b"9" * 20, b"9" * 5000, bytes(8), b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"label ",
    b"\xed\xa0\x80",
)  # fmt: skip
WIDEST = 64  # bytes that one edit takes away


def edited(seeds: tuple[bytes, ...], number: int) -> bytes:
    """A good one with up to four edits, each at a place: bytes away, others in."""
    draw = Random(number)
    content = draw.choice(seeds)
    for _ in range(draw.randrange(5)):
        at, away = draw.randrange(len(content) + 1), draw.choice((0, 1, 1, 4, WIDEST))
        come = (
            draw.choice(TOKENS) if draw.random() < 0.5 else draw.randbytes(draw.choice((0, 1, 4)))
        )
        content = content[:at] + come + content[at + away :]
    return content


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"an example took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak() -> int:
    """Bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fuzz(target: Target, examples: int) -> dict[str, int]:
    """How many examples were read and refused."""
    found = {"read": 0, "refused": 0}

    @settings(max_examples=examples)
    @given(st.integers(0, 2**64 - 1))
    def tried(number: int) -> None:
        content = edited(target.seeds, number)
        note(f"{content!r}")
        with in_time():
            try:
                target.read(content)
            except UsageError as error:
                found["refused"] += 1
                assert str(error).strip()
            else:
                found["read"] += 1

    before = peak()
    tried()
    assert peak() - before < LARGEST
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused(name, record_property):
    found = fuzz(TARGETS[name], EXAMPLES)
    assert found["read"] and bool(found["refused"]) is TARGETS[name].refuses
    record_property("inputs", sum(found.values()))


def with_bytes(content: bytes, mark: bytes, at: int, come: bytes) -> bytes:
    """Other bytes behind a mark."""
    place = content.index(mark) + at
    return content[:place] + come + content[place + len(come) :]


ZIP, RECORD = TARGETS["zip"].seeds[0], TARGETS["record"].seeds[0]
FOUND = [
    ("config", b"seed = " + b"9" * 5000, "is no valid TOML: Exceeds the limit"),
    ("config", b"seed = " + b"[" * 5000, "is no valid TOML: maximum recursion depth"),
    ("study", b"name = " + b"[" * 5000, "is no valid TOML: maximum recursion depth"),
    ("substrate", b"name = " + b"[" * 5000, "is no valid TOML: maximum recursion depth"),
    ("substrate", b"\xff", "chip.toml cannot be read: 'utf-8' codec"),
    ("zip", with_bytes(ZIP, b"PK\1\2", 6, b"\x63"), "is no readable archive .zip file version"),
    ("zip", with_bytes(ZIP, b"PK\1\2", 8, b"\1"), "is no readable archive .*encrypted"),
    ("record", with_bytes(RECORD, b"PK\1\2", 10, b"\x63"), "compression method is not supp"),
    ("manifest", b'{"number": 1e999}', "1e999 is no number"),
]


@pytest.mark.parametrize(("name", "content", "message"), FOUND)
def test_what_was_found_is_refused(name, content, message):
    with pytest.raises(UsageError, match=message):
        TARGETS[name].read(content)


def test_what_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("tracegrad.run.record_file.LARGEST", 100)
    with pytest.raises(UsageError, match="it unpacks to more than 100 bytes"):
        TARGETS["record"].read(RECORD)
    monkeypatch.setattr("tracegrad.data.formats.aedat4.LARGEST", 300)
    frame = aedat4_bytes(*[event_packet((3, 2, 1, 10))] * 9)
    monkeypatch.setattr("tracegrad.data.formats.aedat4.read_bytes", lambda path, largest: frame)
    with pytest.raises(UsageError, match="its packets unpack to more than 300 bytes"):
        TARGETS["aedat4"].read(b"")


def test_a_long_recording_is_not_read_whole_for_a_stream(tmp_path, monkeypatch):
    monkeypatch.setattr("tracegrad.data.formats.aedat4.LARGEST", 10)
    (tmp_path / "a").write_bytes(TARGETS["aedat3"].seeds[0])
    reader = camera_reader(TARGETS["aedat3"].seeds[0][:16])
    assert reader is not None
    with pytest.raises(UsageError, match="must have at most 10 bytes, has"):
        reader(tmp_path / "a", None)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_bytes_are_read_or_refused(name, record_property):
    found = fuzz(TARGETS[name], 20 * EXAMPLES)
    record_property("inputs", sum(found.values()))


def test_a_reader_that_crashes_is_found():
    """The control: an error that was not promised, behind an edit."""
    good = b"good"

    def read(content: bytes) -> None:
        if content != good:
            raise KeyError(content)

    with pytest.raises(KeyError):
        fuzz(Target(read, (good,)), 100)


def test_a_reader_that_hangs_is_found():
    with pytest.raises(TimeoutError), in_time(0.01):
        signal.pause()
