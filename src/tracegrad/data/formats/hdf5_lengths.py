"""HDF5 lengths: how long variable-length entries say they are, read before HDF5 believes them.

HDF5 takes memory for the length that a file announces, up to 32 GB an entry, before it finds that
the entry is shorter. So the announced lengths are read here from the raw bytes first.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt32

from tracegrad.data.extras import extra
from tracegrad.errors import DataError

ENTRY = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])  # of the HDF5 format
DEFLATE, SHUFFLE, FLETCHER = 1, 2, 3  # numbers of the filters of the HDF5 format
LARGEST_CHUNK = 2**24  # bytes; PyTables, which wrote SHD, takes some 65,000


def announced(found: Any, start: int, stop: int, path: Path) -> UInt32[np.ndarray, "n"]:
    """The lengths of entries `start` to before `stop` of a data set of one axis, as announced.

    Costs a read of 16 bytes an entry, or of the chunks that hold them.
    """
    h5py = extra("h5py", "HDF5 files")
    plan = found.file.id.get_create_plist()
    if plan.get_sizes() != (8, 8) or plan.get_userblock():
        raise DataError(f"{path}: must have addresses of 8 bytes and no user block. Repack it.")
    layout = found.id.get_create_plist().get_layout()
    if layout == h5py.h5d.CONTIGUOUS:
        return _contiguous(found, start, stop, path)
    if layout != h5py.h5d.CHUNKED:
        raise DataError(f"{path}: {found.name} must be contiguous or chunked. Repack the file.")
    size = found.chunks[0]
    first = start // size
    parts = [_chunk(found, number * size, path) for number in range(first, -(-stop // size))]
    return np.concatenate([*parts, np.empty(0, np.uint32)])[start - first * size :][: stop - start]


def _contiguous(found: Any, start: int, stop: int, path: Path) -> UInt32[np.ndarray, "n"]:
    offset = found.id.get_offset()
    if offset is None:
        return np.zeros(stop - start, np.uint32)
    with path.open("rb") as file:
        file.seek(offset + start * ENTRY.itemsize)
        return _lengths(file.read((stop - start) * ENTRY.itemsize), stop - start, path)


def _chunk(found: Any, start: int, path: Path) -> UInt32[np.ndarray, "n"]:
    """The lengths of the chunk that begins at entry `start`."""
    size = found.chunks[0]
    where = found.id.get_chunk_info_by_coord((start,))
    if where.byte_offset is None:
        return np.zeros(size, np.uint32)
    if max(where.size, size * ENTRY.itemsize) > LARGEST_CHUNK:
        raise DataError(f"{path}: {found.name} has chunks above {LARGEST_CHUNK} bytes. Repack it.")
    skipped, content = found.id.read_direct_chunk((start,))
    plan = found.id.get_create_plist()
    for number in reversed(range(plan.get_nfilters())):
        if not skipped >> number & 1:
            content = _undone(plan.get_filter(number)[0], content, size * ENTRY.itemsize)
    return _lengths(content, size, path)


def _undone(kind: int, content: bytes, size: int) -> bytes:
    """The bytes before a filter packed them, at most `size`; lists cannot have checksums."""
    if kind == DEFLATE:
        return zlib.decompressobj().decompress(content, size)
    width = len(content) // ENTRY.itemsize
    return np.frombuffer(content, np.uint8).reshape(ENTRY.itemsize, width).T.tobytes()


def _lengths(content: bytes, count: int, path: Path) -> UInt32[np.ndarray, "n"]:
    if len(content) != count * ENTRY.itemsize:
        raise DataError(f"{path}: ends inside a list of entries. The file is cut; replace it.")
    return np.frombuffer(content, ENTRY)["length"].copy()
