"""npz files: arrays whose dtype and shape are checked before memory is taken for them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from tracegrad.errors import DataError

LARGEST = 2**28  # bytes of one array; several times the largest set that is read here
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}  # by version


class Kind(NamedTuple):
    """What an array must be; None in `shape` is any length."""

    dtype: type[np.generic]
    shape: tuple[int | None, ...]


def read_npz(path: Path, kinds: Mapping[str, Kind]) -> dict[str, np.ndarray]:
    """The named arrays of an npz file; never unpickles, and the zip checksums find damage.

    arrays = read_npz(Path("set.npz"), {"x": Kind(np.uint8, (None, 256, 12))})
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read(archive, name, kind, path) for name, kind in kinds.items()}
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file. Check the path.") from error
    except DataError:
        raise
    except Exception as error:  # a hostile archive makes zipfile and NumPy raise nearly anything
        raise DataError(f"{path}: is no readable npz file ({error}). Replace it.") from error


def _read(archive: zipfile.ZipFile, name: str, kind: Kind, path: Path) -> np.ndarray:
    if f"{name}.npy" not in archive.namelist():
        raise DataError(f"{path}: has no array {name}. Check that it is the right file.")
    with archive.open(f"{name}.npy") as file:
        shape, fortran, dtype = HEADERS[npy.read_magic(file)](file)
        fits = len(shape) == len(kind.shape) and all(
            want in (None, got) for want, got in zip(kind.shape, shape, strict=True)
        )
        if dtype != kind.dtype or not fits:
            wanted = str(kind.shape).replace("None", "any")
            raise DataError(
                f"{path}: {name} must be {kind.dtype.__name__} of shape {wanted}, got {dtype} "
                f"{shape}. Check that it is the right file."
            )
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if not 0 <= size <= LARGEST:
            raise DataError(f"{path}: {name} has {size} bytes, not 0 to {LARGEST}. Replace it.")
        content = file.read(size + 1)  # one more: the checksum is checked at the end of the file
    if len(content) != size:
        raise DataError(f"{path}: {name} must hold {size} bytes, does not. Replace it.")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
