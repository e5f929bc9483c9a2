import struct
from pathlib import Path

import pytest

from event_files import HEADER, aedat3_bytes, aedat3_packet
from tracegrad.data.formats.aedat3 import LARGEST_PACKET, read_aedat3, read_labels
from tracegrad.errors import DataError

# x, y, polarity, microsecond, valid
FIRST = [(5, 7, 1, 100, 1), (127, 0, 0, 150, 1), (1, 1, 1, 160, 0)]
SECOND = [(0, 127, 0, 200, 1), (9, 9, 1, 300, 1)]
ALL = 2**40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "user01_led.aedat"
    special = aedat3_packet([(0, 0, 0, 170, 1)], kind=0)
    path.write_bytes(aedat3_bytes(aedat3_packet(FIRST), special, aedat3_packet(SECOND)))
    return path


def test_reads_valid_polarity_events(path):
    events = read_aedat3(path, 0, ALL)
    assert events.time.tolist() == [100, 150, 200, 300] and events.lines == 128 * 128
    assert events.line.tolist() == [7 * 128 + 5, 127, 127 * 128, 9 * 128 + 9]
    assert events.polarity is not None and events.polarity.tolist() == [1, 0, 0, 1]


def test_reads_a_part_with_times_from_its_start(path):
    events = read_aedat3(path, 150, 300)
    assert events.time.tolist() == [0, 50] and events.line.tolist() == [127, 127 * 128]
    assert not len(read_aedat3(path, 1000, 2000))


def test_a_packet_bound_by_hand(tmp_path):
    """The layout of the specification, spelled out: little-endian, x from bit 17, y from bit 2."""
    head = bytes([1, 0, 1, 0, 8, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0]) + bytes([1, 0, 0, 0] * 3)
    event = struct.pack("<I", 0b000000000000011_000000000000101_1_1) + bytes([7, 0, 0, 0])
    (tmp_path / "a.aedat").write_bytes(HEADER + head + event)
    events = read_aedat3(tmp_path / "a.aedat", 0, 2**62)
    assert events.line.tolist() == [5 * 128 + 3] and events.time.tolist() == [2**31 + 7]


def test_room_in_a_packet_that_is_not_used(tmp_path):
    packet = aedat3_packet([*FIRST, (0, 0, 0, 0, 1)], number=3)
    (tmp_path / "a.aedat").write_bytes(aedat3_bytes(packet))
    assert read_aedat3(tmp_path / "a.aedat", 0, ALL).time.tolist() == [100, 150]


GOOD = aedat3_packet(FIRST)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no AEDAT 3.1 file"),
        (HEADER.replace(b"3.1", b"2.0"), "is no AEDAT 3.1 file"),
        (HEADER[:-4], "is no AEDAT 3.1 file"),
        (aedat3_bytes(GOOD)[:-1], "a packet announces 24 bytes, more than there are"),
        (aedat3_bytes(GOOD, GOOD[:20]), "ends inside a packet"),
        (
            aedat3_bytes(aedat3_packet(FIRST, capacity=2**31 - 1)),
            f"a packet announces {8 * (2**31 - 1)} bytes, more than there are",
        ),
        (aedat3_bytes(aedat3_packet(FIRST, capacity=-3)), "announces impossible sizes"),
        (aedat3_bytes(aedat3_packet(FIRST, number=4)), "announces impossible sizes"),
        (aedat3_bytes(aedat3_packet(FIRST, size=-8, capacity=-3)), "announces impossible sizes"),
        (
            aedat3_bytes(aedat3_packet(FIRST, size=12, capacity=2, number=2)),
            "a polarity event must have 8 bytes, has 12",
        ),
        (aedat3_bytes(aedat3_packet(SECOND), GOOD), "must be sorted by time, but time falls"),
        (aedat3_bytes(aedat3_packet([(128, 0, 1, 5, 1)])), r"x must lie in \[0, 128\), got 128"),
        (aedat3_bytes(aedat3_packet([(0, 200, 1, 5, 1)])), r"y must lie in \[0, 128\), got 200"),
    ],
)
def test_refuses(tmp_path, content, message):
    (tmp_path / "a.aedat").write_bytes(content)
    with pytest.raises(DataError, match=f"a.aedat: .*{message}"):
        read_aedat3(tmp_path / "a.aedat", 0, ALL)


def test_a_packet_that_is_too_large_is_not_read(tmp_path):
    """A sparse file: as large as it says, and never read."""
    path = tmp_path / "a.aedat"
    head = aedat3_packet([], capacity=LARGEST_PACKET // 8 + 1)
    path.write_bytes(aedat3_bytes(head))
    with path.open("r+b") as file:
        file.truncate(len(HEADER) + len(head) + LARGEST_PACKET + 8)
    with pytest.raises(DataError, match="more than there are or than"):
        read_aedat3(path, 0, ALL)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="a.aedat: there is no such file"):
        read_aedat3(tmp_path / "a.aedat", 0, 1)


TABLE = "class,startTime_usec,endTime_usec\n"


def test_reads_labels(tmp_path):
    (tmp_path / "l.csv").write_bytes(f"{TABLE}1,10,20\n11,30,45\n".replace("\n", "\r\n").encode())
    assert read_labels(tmp_path / "l.csv", 11) == [(1, 10, 20), (11, 30, 45)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,10,20\n", "must begin with class,startTime_usec,endTime_usec, begins with '1,10,20'"),
        (f"{TABLE}1,10\n", "line 2 must be three whole numbers, is '1,10'"),
        (f"{TABLE}1,10,20\n1,-1,2\n", "line 3 must be three whole numbers, is '1,-1,2'"),
        (f"{TABLE}1,10,{'9' * 60}\n", "line 2 must be three whole numbers"),
        (f"{TABLE}0,10,20\n", "line 2 must have a class of 1 to 11"),
        (f"{TABLE}12,10,20\n", "line 2 must have a class of 1 to 11"),
        (f"{TABLE}1,20,20\n", "and end after it starts"),
    ],
)
def test_refuses_labels(tmp_path, text, message):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError, match=f"l.csv: .*{message}"):
        read_labels(tmp_path / "l.csv", 11)
    with pytest.raises(DataError, match="m.csv: there is no such file"):
        read_labels(tmp_path / "m.csv", 11)
