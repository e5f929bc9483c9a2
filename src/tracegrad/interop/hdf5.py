"""HDF5: a NIR file as plain dictionaries, with nothing in it believed."""

from pathlib import Path
from typing import Any

import numpy as np

from tracegrad.data.extras import extra
from tracegrad.errors import DataError

DEEPEST = 12  # groups in groups; a graph in a graph takes three
MOST_NUMBERS = 2**27  # in a file, 1 GB of doubles; the reference graphs have below 10^5


def read_file(path: Path) -> dict[str, Any]:
    """Groups as dictionaries, data sets as arrays, numbers or text; O(file) time and memory.

    Links out of the file, external storage, loops of groups and sizes above 2^27 numbers are
    refused. `DataError` names the file and says in one sentence what is wrong.
    """
    h5py = extra("h5py", "NIR files", "nir")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file:
                raise DataError(f"{path}: has no group node, so it is no NIR graph. Replace it.")
            return _Reader(path, h5py).group(file["node"], 0)
    except DataError:
        raise
    except Exception as error:  # a hostile file makes h5py raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: is no readable HDF5 file ({reason}). Replace it.") from error


class _Reader:
    """Reads groups, and counts what it has read."""

    def __init__(self, path: Path, h5py: Any):
        self.path, self.h5py, self.numbers = path, h5py, 0

    def group(self, node: Any, depth: int) -> dict[str, Any]:
        if depth > DEEPEST or not isinstance(node, self.h5py.Group):
            raise DataError(
                f"{self.path}: {node.name} must be a group, at most {DEEPEST} deep. Replace it."
            )
        found = {}
        for name in node:
            if not isinstance(node.get(name, getlink=True), self.h5py.HardLink):
                raise DataError(f"{self.path}: {node.name}/{name} is a link to elsewhere.")
            part = node[name]
            inside = isinstance(part, self.h5py.Group)
            found[name] = self.group(part, depth + 1) if inside else self.data(part)
        return found

    def data(self, part: Any) -> Any:
        """One data set, of bounded size and stored in this file; text as text."""
        if not isinstance(part, self.h5py.Dataset) or part.external or part.is_virtual:
            raise DataError(f"{self.path}: {part.name} keeps its data elsewhere. Copy it in.")
        self.numbers += part.size or 0
        if self.numbers > MOST_NUMBERS or np.prod(part.chunks or (1,)) > MOST_NUMBERS:
            raise DataError(f"{self.path}: holds above {MOST_NUMBERS} numbers. Replace it.")
        value = part[()]
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, np.ndarray) and value.dtype.kind == "O":
            return [[_text(each) for each in np.ravel(row)] for row in value]
        return value


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
