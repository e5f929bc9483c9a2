import zipfile
from pathlib import Path

import numpy as np
import pytest

from tracegrad.data.npz import Kind, read_npz
from tracegrad.errors import DataError

X, Y = np.arange(12, dtype=np.uint8).reshape(4, 3), np.array([True, False])
KINDS = {"x": Kind(np.uint8, (None, 3)), "y": Kind(np.bool_, (2,))}


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, x=X, y=Y, more=np.zeros(9))
    return path


def raw(path: Path, header: str, body: bytes) -> None:
    """An npz file whose array x has any header over any bytes."""
    text = header.encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member)


def test_reads_what_was_asked_for(npz):
    arrays = read_npz(npz, KINDS)
    assert list(arrays) == ["x", "y"]
    for name, want in (("x", X), ("y", Y)):
        assert arrays[name].dtype == want.dtype
        np.testing.assert_array_equal(arrays[name], want)


def test_reads_an_array_kept_by_columns(npz):
    np.savez(npz, x=np.asfortranarray(X), y=Y)
    np.testing.assert_array_equal(read_npz(npz, KINDS)["x"], X)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.astype(np.int64), r"x must be uint8 of shape \(any, 3\), got int64 \(4, 3\)"),
        (X[:, :2], r"x must be uint8 of shape \(any, 3\), got uint8 \(4, 2\)"),
        (X[0], r"x must be uint8 of shape \(any, 3\), got uint8 \(3,\)"),
        (np.array([[1, None, 2]], object), r"x must be uint8 .* got object \(1, 3\)"),
    ],
)
def test_refuses_another_kind(npz, x, message):
    np.savez(npz, x=x, y=Y)
    with pytest.raises(DataError, match=f"set.npz: {message}"):
        read_npz(npz, KINDS)


def test_refuses_a_missing_array(npz):
    with pytest.raises(DataError, match="set.npz: has no array z"):
        read_npz(npz, {"z": Kind(np.uint8, (3,))})


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="none.npz: there is no such file"):
        read_npz(tmp_path / "none.npz", KINDS)


def test_refuses_a_huge_array_before_reading_it(npz):
    raw(npz, "{'descr': '|u1', 'fortran_order': False, 'shape': (1431655765000, 3)}", b"")
    with pytest.raises(DataError, match="x has 4294967295000 bytes, not 0 to 268435456"):
        read_npz(npz, KINDS)


@pytest.mark.parametrize("body", [b"12345", b"1234567"])
def test_refuses_a_header_that_lies(npz, body):
    raw(npz, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}", body)
    with pytest.raises(DataError, match="set.npz: x must hold 6 bytes, does not"):
        read_npz(npz, KINDS)


def test_refuses_a_negative_shape(npz):
    raw(npz, "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 3)}", b"")
    with pytest.raises(DataError, match="set.npz: x has -3 bytes, not 0 to"):
        read_npz(npz, KINDS)


def test_no_truncation_or_flip_is_silent(npz):
    content, rng = npz.read_bytes(), np.random.default_rng(0)
    whole = read_npz(npz, KINDS)
    damaged = [content[:length] for length in range(0, len(content), 7)]
    for position in rng.integers(len(content), size=300):
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    refused = 0
    for data in damaged:
        npz.write_bytes(data)
        try:
            arrays = read_npz(npz, KINDS)
        except DataError:
            refused += 1
        else:  # an unused byte: the values must be the old ones
            assert all(np.array_equal(arrays[name], whole[name]) for name in KINDS)
    assert refused > len(damaged) // 2
