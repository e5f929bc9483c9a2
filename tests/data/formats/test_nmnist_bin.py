from pathlib import Path

import numpy as np
import pytest

from event_files import nmnist_bytes
from tracegrad.data.formats.nmnist_bin import LARGEST, read_nmnist
from tracegrad.errors import DataError

# By hand: x 3, y 2, ON, 0x012345 us; x 33, y 0, OFF, 0x7FFFFF us.
BYTES = bytes([3, 2, 0x81, 0x23, 0x45, 33, 0, 0x7F, 0xFF, 0xFF])


def test_reads_bytes_by_hand(tmp_path):
    (tmp_path / "1.bin").write_bytes(BYTES)
    events = read_nmnist(tmp_path / "1.bin")
    assert events.time.tolist() == [0x012345, 0x7FFFFF] and events.lines == 34 * 34
    assert events.line.tolist() == [2 * 34 + 3, 33]
    assert events.polarity is not None and events.polarity.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold events of 5 bytes, has 0 bytes"),
        (BYTES[:-1], "must hold events of 5 bytes, has 9 bytes"),
        (BYTES[5:] + BYTES[:5], "must be sorted by time, but time falls after event 0"),
        (nmnist_bytes([[34, 0, 1, 5]]), r"x must lie in \[0, 34\), got 34 to 34"),
        (nmnist_bytes([[0, 240, 1, 5]]), r"y must lie in \[0, 34\), got 240 to 240"),
        (bytes(LARGEST + 5), f"must have at most {LARGEST} bytes, has {LARGEST + 5}"),
    ],
)
def test_refuses(tmp_path: Path, content, message):
    (tmp_path / "1.bin").write_bytes(content)
    with pytest.raises(DataError, match=f"1.bin: .*{message}"):
        read_nmnist(tmp_path / "1.bin")


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="2.bin: there is no such file"):
        read_nmnist(tmp_path / "2.bin")


def test_the_real_recordings_survive_the_format(shared, tmp_path):
    """Real events, written as bytes and read again."""
    held = np.load(shared / "nmnist_small" / "nmnist_1000_100.npz")
    part = slice(*held["offset"][:2])
    columns = [held[name][part].astype(int) for name in ("x", "y", "p", "t_us")]
    (tmp_path / "1.bin").write_bytes(nmnist_bytes(np.column_stack(columns)))
    events = read_nmnist(tmp_path / "1.bin")
    assert len(events) == 4681 and (events.time == columns[3]).all()
    assert (events.line == columns[1] * 34 + columns[0]).all()
    assert (events.polarity == columns[2]).all()
