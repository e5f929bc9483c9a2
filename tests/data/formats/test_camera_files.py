"""AEDAT 2, AEDAT 4 and Prophesee DAT: files written by hand, and real ones where they are."""

import struct

import lz4.frame
import numpy as np
import pytest

from event_files import HEADER2, aedat2_bytes, aedat4_bytes, dat_bytes, event_packet, table
from tracegrad.data.formats import aedat4
from tracegrad.data.formats.aedat2 import read_aedat2
from tracegrad.data.formats.aedat4 import read_aedat4
from tracegrad.data.formats.prophesee_dat import read_dat
from tracegrad.errors import DataError


def test_aedat2(tmp_path):
    (tmp_path / "a.aedat").write_bytes(aedat2_bytes((0, 3, 1, 1000), (127, 0, 0, 1500)))
    events = read_aedat2(tmp_path / "a.aedat")
    assert events.time.tolist() == [0, 500] and events.line.tolist() == [3 * 128, 127]
    assert events.polarity is not None and events.polarity.tolist() == [1, 0]
    (tmp_path / "a.aedat").write_bytes(HEADER2)
    assert len(read_aedat2(tmp_path / "a.aedat")) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!AER-DAT3.1\r\n", "is no AEDAT 2.0 file"),
        (b"#!AER-DAT2.0 without end", "ends inside its header"),
        (aedat2_bytes((0, 0, 1, 5))[:-1], "must hold events of 8 bytes, has 7 bytes"),
        (aedat2_bytes((0, 0, 1, 5), (0, 0, 1, 4)), "has an event at -1 us|must be sorted"),
        (aedat2_bytes((0, 0, 1, 5), (0, 0, 1, 9), (0, 0, 1, 8)), "must be sorted by time"),
        (HEADER2 + struct.pack(">II", 1 << 15, 5), "has events that are not of a DVS128"),
    ],
)
def test_aedat2_refuses(tmp_path, content, message):
    (tmp_path / "a.aedat").write_bytes(content)
    with pytest.raises(DataError, match=f"a.aedat: .*({message})"):
        read_aedat2(tmp_path / "a.aedat")


def test_dat(tmp_path):
    (tmp_path / "a.dat").write_bytes(dat_bytes((3, 2, 1, 10), (303, 239, 0, 20)))
    events = read_dat(tmp_path / "a.dat")
    assert events.time.tolist() == [10, 20]
    assert events.line.tolist() == [2 * 304 + 3, 304 * 240 - 1]
    assert events.polarity is not None and events.polarity.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold events of 8 bytes of kind 0 or 12"),
        (b"% no end", "ends inside its header"),
        (dat_bytes((0, 0, 1, 5), kind=b"\x0e\x08"), "must hold events of 8 bytes of kind 0 or 12"),
        (dat_bytes((0, 0, 1, 5), kind=b"\x0c\x10"), "must hold events of 8 bytes of kind 0 or 12"),
        (dat_bytes((0, 0, 1, 5))[:-3], "must hold events of 8 bytes, has 5 bytes"),
        (dat_bytes((0, 0, 2, 5)), "polarity must be 0 or 1"),
        (dat_bytes((304, 0, 1, 5)), r"x must lie in \[0, 304\), got 304"),
        (dat_bytes((0, 240, 1, 5)), r"y must lie in \[0, 240\), got 240"),
        (dat_bytes((0, 0, 1, 5), (0, 0, 1, 4)), "must be sorted by time"),
    ],
)
def test_dat_refuses(tmp_path, content, message):
    (tmp_path / "a.dat").write_bytes(content)
    with pytest.raises(DataError, match=f"a.dat: .*{message}"):
        read_dat(tmp_path / "a.dat")


def test_the_real_car(shared):
    events = read_dat(shared / "event_samples" / "sample_ncars.dat", width=120, height=100)
    # By hand from the bytes: 25, 8 OFF at 0 us; 67, 35 OFF at 35 us; 56, 27 ON at 152 us.
    assert events.time[:3].tolist() == [0, 35, 152]
    assert events.line[:3].tolist() == [8 * 120 + 25, 35 * 120 + 67, 27 * 120 + 56]
    assert events.polarity is not None and events.polarity[:3].tolist() == [0, 0, 1]
    assert 1000 < len(events) < 3000 and events.time[-1] < 110_000


FIRST = [(3, 2, 1, 10**15), (345, 259, 0, 10**15 + 40)]


@pytest.mark.parametrize("compression", [0, 1, 2])
def test_aedat4(tmp_path, compression):
    frame = table(b"FRME", struct.pack("<I", 0), [])
    content = aedat4_bytes(
        event_packet(*FIRST), frame, event_packet((0, 0, 1, 10**15 + 99)), compression=compression
    )
    (tmp_path / "a.aedat4").write_bytes(content)
    events = read_aedat4(tmp_path / "a.aedat4")
    assert events.time.tolist() == [0, 40, 99]
    assert events.line.tolist() == [2 * 346 + 3, 346 * 260 - 1, 0]
    assert events.polarity is not None and events.polarity.tolist() == [1, 0, 1]


GOOD = aedat4_bytes(event_packet(*FIRST))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!AER-DAT3.1\r\n", "is no AEDAT 4.0 file"),
        (GOOD[:16], "bytes are announced at 14, of 16 in all"),
        (GOOD[:40], "bytes are announced at"),
        (GOOD[:-1], "bytes are announced at"),
        (GOOD.replace(b"IOHE", b"OTHR"), "a buffer is named b'OTHR', not b'IOHE'"),
        (aedat4_bytes(compression=3), "is packed with Zstandard"),
        (
            aedat4_bytes(event_packet(*FIRST, count=2**32 - 1), compression=0),
            "68719476720 bytes are announced at",
        ),
        (aedat4_bytes(event_packet((0, 0, 7, 5))), "polarity must be 0 or 1 everywhere"),
        (aedat4_bytes(event_packet((-1, 0, 1, 5))), r"x must lie in \[0, 346\), got -1"),
        (aedat4_bytes(event_packet((0, 0, 1, 5), (0, 0, 1, 9), (0, 0, 1, 8))), "must be sorted"),
    ],
)
def test_aedat4_refuses(tmp_path, content, message):
    (tmp_path / "a.aedat4").write_bytes(content)
    with pytest.raises(DataError, match=f"a.aedat4: .*{message}"):
        read_aedat4(tmp_path / "a.aedat4")


def test_aedat4_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(aedat4, "LARGEST_PACKET", 2**20)
    packed = lz4.frame.compress(bytes(2**24))
    head = aedat4_bytes()
    (tmp_path / "a.aedat4").write_bytes(head + struct.pack("<ii", 0, len(packed)) + packed)
    with pytest.raises(DataError, match="a packet ends early or unpacks to more than 1048576"):
        read_aedat4(tmp_path / "a.aedat4")


def test_aedat4_flipped_bytes_are_one_sentence_or_harmless(tmp_path):
    rng, refused = np.random.default_rng(0), 0
    content = aedat4_bytes(event_packet(*FIRST), event_packet(*FIRST), compression=0)
    for _ in range(300):
        broken = bytearray(content)
        for at in rng.integers(0, len(content), 4):
            broken[at] = rng.integers(0, 256)
        (tmp_path / "a.aedat4").write_bytes(broken)
        try:
            read_aedat4(tmp_path / "a.aedat4")
        except DataError as error:
            assert "a.aedat4: " in str(error)
            refused += 1
    assert refused > 100


def test_the_real_recording(shared):
    events = read_aedat4(shared / "event_samples" / "sample.aedat4", width=320, height=240)
    assert len(events) > 10_000 and events.lines == 320 * 240
    assert 0 < events.time[-1] < 60_000_000
    assert events.polarity is not None and 0.1 < events.polarity.mean() < 0.9
