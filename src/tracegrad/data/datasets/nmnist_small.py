"""N-MNIST small: the first thousand training recordings of N-MNIST, and a hundred for the test."""

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from tracegrad.data.datasets.nmnist import BINNING, CLASSES
from tracegrad.data.datasets.pixel_events import PixelBinning
from tracegrad.data.formats.listed import listed, pixels
from tracegrad.data.formats.nmnist_bin import SIZE
from tracegrad.data.npz import Kind, read_npz
from tracegrad.data.recordings import Recording, Recordings, one_class
from tracegrad.data.task import Task
from tracegrad.errors import DataError

FILE = "nmnist_1000_100.npz"
KINDS = {
    "x": Kind(np.uint8, (None,)),
    "y": Kind(np.uint8, (None,)),
    "p": Kind(np.uint8, (None,)),
    "t_us": Kind(np.uint32, (None,)),
    "offset": Kind(np.int64, (None,)),
    "label": Kind(np.uint8, (None,)),
    "test": Kind(np.bool_, (None,)),
}


def nmnist_small(data: Path, binning: PixelBinning = BINNING) -> Task:
    """Ten digits, 2312 lines (34 x 34 pixels, ON and OFF), up to 72 steps of 5 ms.

    `data` is the file `nmnist_1000_100.npz` or its folder: events of all recordings behind one
    another (`x`, `y`, `p`, `t_us`), `offset` where each begins, `label`, `test`. The file, 32 MB,
    is held in memory; a batch alone is counted. Licence: CC BY-SA 4.0, that of N-MNIST. Source:
    Orchard et al. 2015 (arXiv 1507.07629), in a copy without the motion of the saccades.

        task = nmnist_small(Path("nmnist_small"))
    """
    path = data / FILE if data.is_dir() else data
    held = read_npz(path, KINDS)
    _check(held, path)
    train, test = (np.flatnonzero(held["test"] == part) for part in (False, True))
    if not (len(train) and len(test)):
        raise DataError(f"{path}: test must mark some recordings, and not all. Replace the file.")
    return Task(
        name="nmnist_small",
        summary=f"10 classes: {len(held['label'])} handwritten digits, seen by an event camera.",
        lines=binning.lines,
        outputs=CLASSES,
        dt=binning.dt,
        shape=binning.shape,
        train=Recordings(partial(_read, path, held, binning, train), len(train), binning.steps),
        test=Recordings(partial(_read, path, held, binning, test), len(test), binning.steps),
    )


def _check(held: dict[str, np.ndarray], path: Path) -> None:
    offset, count = held["offset"], len(held["label"])
    events = {name: len(held[name]) for name in ("x", "y", "p", "t_us")}
    if len(set(events.values())) > 1 or len(held["test"]) != count or not count:
        raise DataError(f"{path}: its arrays must be equally long, got {events}. Replace it.")
    rising = len(offset) == count + 1 and offset[0] == 0 and (np.diff(offset) >= 0).all()
    if not rising or offset[-1] != events["x"]:
        raise DataError(f"{path}: offset must rise from 0 to the number of events. Replace it.")
    if held["label"].max() >= CLASSES or held["p"].max(initial=0) > 1:
        raise DataError(f"{path}: label must be 0 to 9, and p 0 or 1. Replace the file.")


def _read(
    path: Path,
    held: dict[str, Shaped[np.ndarray, "..."]],
    binning: PixelBinning,
    chosen: Int[np.ndarray, "N"],
    position: int,
) -> Recording:
    index = int(chosen[position])
    part = slice(*held["offset"][index : index + 2])
    x, y, time = (held[name][part].astype(np.int64) for name in ("x", "y", "t_us"))
    line = pixels(path, x, y, SIZE, SIZE)
    events = listed(path, time, line, SIZE**2, held["p"][part].astype(np.int8))
    return one_class(binning(events, f"{path}, recording {index},"), int(held["label"][index]))
