"""No bytes make a reader crash, hang, or fill the memory: it reads them, or says what is wrong."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from fuzz_targets import TARGETS, Target
from tracegrad.errors import UsageError

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
