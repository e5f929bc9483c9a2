import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from event_files import idx_bytes
from tracegrad.data.formats.idx import read_idx
from tracegrad.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)
CONTENT = idx_bytes(IMAGES)


@pytest.mark.parametrize("packed", [False, True])
def test_reads(tmp_path: Path, packed):
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(CONTENT) if packed else CONTENT)
    array = read_idx(path, 3)
    assert isinstance(array, np.memmap) and array.dtype == np.uint8
    np.testing.assert_array_equal(array, IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be an idx file of bytes with 3 axes"),
        (CONTENT[:12], "must be an idx file of bytes with 3 axes"),
        (idx_bytes(IMAGES[0]), "must be an idx file of bytes with 3 axes"),
        (bytes([0, 0, 13, 3]) + CONTENT[4:], "must be an idx file of bytes with 3 axes"),
        (CONTENT[:-1], r"holds fewer bytes than its shape \(3, 4, 5\) says"),
        (CONTENT + b"x", r"holds more bytes than its shape \(3, 4, 5\) says"),
        (CONTENT[:4] + struct.pack(">3I", 2**31, 28, 28), r"announces shape \(2147483648, 28, 28"),
        (CONTENT[:4] + struct.pack(">3I", 0, 28, 28), r"announces shape \(0, 28, 28\)"),
    ],
)
def test_refuses(tmp_path, content, message):
    for name, written in (("images", content), ("images.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(written)
        with pytest.raises(DataError, match=f"{name}: {message}"):
            read_idx(tmp_path / name, 3)


def test_a_gzip_bomb_stops_at_the_announced_size(tmp_path, monkeypatch):
    unpacked = []

    def read(file: gzip.GzipFile, size: int = -1) -> bytes:
        unpacked.append(plain(file, size))
        return unpacked[-1]

    plain = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", read)
    bomb = gzip.compress(CONTENT[:16] + bytes(2**26))
    (tmp_path / "images.gz").write_bytes(bomb)
    with pytest.raises(DataError, match="holds more bytes than its shape"):
        read_idx(tmp_path / "images.gz", 3)
    assert sum(map(len, unpacked)) == len(CONTENT) + 1


def test_refuses_broken_gzip(tmp_path):
    packed = gzip.compress(CONTENT)
    for content in (packed[:-9], b"no gzip at all, just text", packed[:20] + b"xx" + packed[22:]):
        (tmp_path / "images.gz").write_bytes(content)
        with pytest.raises(DataError, match="images.gz: (is no readable gzip|must be an idx)"):
            read_idx(tmp_path / "images.gz", 3)
    with pytest.raises(DataError, match="none: there is no such file"):
        read_idx(tmp_path / "none", 3)


def test_real_digits(shared):
    images = read_idx(shared / "mnist" / "t10k-images-idx3-ubyte.gz", 3)
    labels = read_idx(shared / "mnist" / "t10k-labels-idx1-ubyte.gz", 1)
    assert images.shape == (10000, 28, 28) and round(float(images.mean()), 4) == 33.7912
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(labels).tolist() == counts
