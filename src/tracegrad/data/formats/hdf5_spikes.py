"""HDF5 spikes: the files of the Heidelberg spiking data sets, read one recording at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from tracegrad.data.events import Events
from tracegrad.data.extras import extra
from tracegrad.data.formats.hdf5_lengths import DEFLATE, FLETCHER, SHUFFLE, announced
from tracegrad.data.formats.listed import LONGEST, listed
from tracegrad.errors import DataError

MOST_RECORDINGS = 2**20  # ten times the largest set (SSC has 105,829)
MOST_EVENTS = 2**22  # in a recording; SHD's longest has some 15,000
LONGEST_KEY = 1000  # bytes of the name of a class, and number of classes
FILTERS = (DEFLATE, SHUFFLE, FLETCHER)


@dataclass(frozen=True, eq=False)
class SpikeFile:
    """A file with `spikes/times`, `spikes/units`, `labels` and, if it has them, `extra/keys`.

    `times` are variable-length lists of floats (seconds), `units` of whole numbers in [0, lines),
    `labels` whole numbers. Labels are read when it is opened, spikes when they are asked for.
    Links to elsewhere, external storage and virtual data sets are refused. What HDF5's own library
    does with damaged structure is its own: it can crash, so compare the digest of a file from afar.
    Source: Cramer et al. 2020 (arXiv 1910.07407), section on the data format.

        file = SpikeFile(Path("shd_train.h5"), lines=700)
        events, label = file.events(0), file.labels[0]
    """

    path: Path
    lines: int
    labels: Int64[np.ndarray, "N"] = field(init=False)
    keys: tuple[str, ...] = field(init=False)
    test: Bool[np.ndarray, "N"] | None = field(init=False)

    def __post_init__(self) -> None:
        """Read the labels, and check that times and units are as many."""
        with _opened(self.path) as file:
            labels = _numbers(file, "labels", self.path)
            for name, kind in (("spikes/times", np.floating), ("spikes/units", np.integer)):
                found = _lists(file, name, kind, self.path)
                if len(found) != len(labels):
                    raise DataError(
                        f"{self.path}: {name} must have as many entries as labels "
                        f"({len(labels)}), has {len(found)}. Replace the file."
                    )
            keys = _keys(file, self.path) if _exists(file, "extra/keys") else ()
            test = _numbers(file, "extra/test", self.path) if _exists(file, "extra/test") else None
        if not len(labels):
            raise DataError(f"{self.path}: holds no recordings. Replace it.")
        if labels.min() < 0 or (keys and labels.max() >= len(keys)):
            raise DataError(
                f"{self.path}: labels must lie in [0, {len(keys) or 'number of classes'}), got "
                f"{labels.min()} to {labels.max()}. Replace the file."
            )
        if test is not None and (len(test) != len(labels) or not np.isin(test, (0, 1)).all()):
            raise DataError(f"{self.path}: extra/test must be 0 or 1 for every recording.")
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "test", None if test is None else test == 1)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """Number of classes: of the keys, or one more than the largest label."""
        return len(self.keys) or int(self.labels.max()) + 1

    def events(self, index: int) -> Events:
        """The spikes of one recording; opens the file anew."""
        with _opened(self.path) as file:
            lists = (
                _lists(file, "spikes/times", np.floating, self.path),
                _lists(file, "spikes/units", np.integer, self.path),
            )
            times, units = (int(announced(a, index, index + 1, self.path)[0]) for a in lists)
            if times != units or times > MOST_EVENTS:
                raise DataError(
                    f"{self.path}: recording {index} must have as many units as times, at most "
                    f"{MOST_EVENTS}, announces {units} and {times}. Replace the file."
                )
            times, units = (found[index] for found in lists)
        seconds = times.astype(np.float64)
        if not (np.isfinite(seconds) & (np.abs(seconds) < LONGEST / 1e6)).all():
            raise DataError(
                f"{self.path}: the times of recording {index} must be finite, below an hour. "
                "Replace the file."
            )
        time = np.rint(seconds * 1e6).astype(np.int64)
        return listed(
            Path(f"{self.path}, recording {index}"), time, units.astype(np.int64), self.lines
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; whatever HDF5 says of a broken one becomes one sentence."""
    h5py = extra("h5py", "HDF5 files")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # a hostile file makes h5py raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: is no readable HDF5 file ({reason}). Replace it.") from error


def _exists(file: Any, name: str) -> bool:
    """Whether the path exists, link by link, without following any that leads elsewhere."""
    node = file
    for part in name.split("/"):
        if not _is_group(node) or not node.id.links.exists(part.encode()):
            return False
        if not _is_hard(node, part):
            return True  # `_dataset` refuses it by name
        node = node[part]
    return True


def _dataset(file: Any, name: str, path: Path) -> Any:
    """The data set of one axis at `name`, stored in this file and of bounded size."""
    node = file
    if not _exists(file, name):
        raise DataError(f"{path}: has no data set {name}. Check that it is the right file.")
    for part in name.split("/"):
        if not _is_hard(node, part):
            raise DataError(f"{path}: {name} is a link to elsewhere. Copy the data into the file.")
        node = node[part]
    if not isinstance(node, extra("h5py", "HDF5 files").Dataset) or node.ndim != 1:
        raise DataError(f"{path}: {name} must be a data set of one axis. Replace the file.")
    if node.external or node.is_virtual:
        raise DataError(f"{path}: {name} keeps its data in another file. Copy it into this one.")
    chunk = node.chunks[0] if node.chunks else 0
    if max(node.shape[0], chunk) > MOST_RECORDINGS:
        raise DataError(
            f"{path}: {name} must have at most {MOST_RECORDINGS} entries, announces "
            f"{max(node.shape[0], chunk)}. Replace the file."
        )
    stored = node.id.get_create_plist()
    if any(stored.get_filter(i)[0] not in FILTERS for i in range(stored.get_nfilters())):
        raise DataError(f"{path}: {name} must be packed with gzip or not at all. Repack the file.")
    return node


def _lists(file: Any, name: str, kind: type[np.generic], path: Path) -> Any:
    h5py = extra("h5py", "HDF5 files")
    found = _dataset(file, name, path)
    base = h5py.check_vlen_dtype(found.dtype)
    if base is None or not np.issubdtype(base, kind):
        raise DataError(
            f"{path}: {name} must be lists of {kind.__name__} numbers, is {base or found.dtype}. "
            "Check that it is the right file."
        )
    return found


def _numbers(file: Any, name: str, path: Path) -> Int64[np.ndarray, "N"]:
    found = _dataset(file, name, path)
    if not (np.issubdtype(found.dtype, np.integer) or found.dtype == np.bool_):
        raise DataError(f"{path}: {name} must be whole numbers, is {found.dtype}. Check the file.")
    return found[...].astype(np.int64)


def _keys(file: Any, path: Path) -> tuple[str, ...]:
    found = _dataset(file, "extra/keys", path)
    text = extra("h5py", "HDF5 files").check_string_dtype(found.dtype)
    longest = 0 if text is None or len(found) > LONGEST_KEY else text.length
    if longest is None:  # of variable length
        longest = int(announced(found, 0, len(found), path).max(initial=1))
    if not 0 < longest <= LONGEST_KEY:
        raise DataError(
            f"{path}: extra/keys must be at most {LONGEST_KEY} names of at most {LONGEST_KEY} "
            "bytes. Replace the file."
        )
    names = found[...]
    return tuple(name.decode("utf-8", "replace") for name in names)


def _is_group(node: Any) -> bool:
    return isinstance(node, extra("h5py", "HDF5 files").Group)


def _is_hard(group: Any, part: str) -> bool:
    h5py = extra("h5py", "HDF5 files")
    return group.id.links.get_info(part.encode()).type == h5py.h5l.TYPE_HARD
