"""idx: arrays of bytes with a short header, the files of MNIST, packed or not."""

import gzip
import math
import struct
import tempfile
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tracegrad.errors import DataError

LARGEST = 2**30  # bytes of an array; MNIST's largest has 47 million
BLOCK = 2**20  # bytes that are unpacked at a time


def read_idx(path: Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """The array of `axes` axes, mapped from disk: only what is used takes memory.

    A packed file (`.gz`) is unpacked into an unnamed temporary file first. Format: two zero bytes,
    8 (unsigned bytes), the number of axes, each length as 4 bytes, big-endian, then the values.
    Source: LeCun, Cortes and Burges, MNIST.

        images = read_idx(Path("t10k-images-idx3-ubyte.gz"), axes=3)
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    try:
        with opened as file:
            shape = _shape(file, axes, path)
            return _mapped(file, shape, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: is no readable gzip file ({error}). Replace it.") from error


def _shape(file: BufferedIOBase, axes: int, path: Path) -> tuple[int, ...]:
    head = file.read(4 + 4 * axes)
    if len(head) != 4 + 4 * axes or head[:4] != bytes((0, 0, 8, axes)):
        raise DataError(
            f"{path}: must be an idx file of bytes with {axes} axes, its header says otherwise. "
            "Check that it is the right file."
        )
    shape = struct.unpack(f">{axes}I", head[4:])
    if not 0 < math.prod(shape) <= LARGEST:
        raise DataError(f"{path}: announces shape {shape}, not 1 to {LARGEST} bytes. Replace it.")
    return shape


def _mapped(file: BufferedIOBase, shape: tuple[int, ...], path: Path) -> UInt8[np.ndarray, "..."]:
    left = math.prod(shape)
    with tempfile.TemporaryFile() as unpacked:
        while block := file.read(min(BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                break
            unpacked.write(block)
        if left:
            more = "more" if left < 0 else "fewer"
            raise DataError(
                f"{path}: holds {more} bytes than its shape {shape} says. Replace the file."
            )
        unpacked.flush()
        return np.memmap(unpacked, np.uint8, "r", shape=shape)
