"""N-MNIST: handwritten digits before a moving event camera."""

import re
from functools import partial
from pathlib import Path

from tracegrad.data.datasets.pixel_events import PixelBinning
from tracegrad.data.formats.nmnist_bin import SIZE, read_nmnist
from tracegrad.data.recordings import Recording, Recordings, one_class
from tracegrad.data.task import Task
from tracegrad.errors import DataError

CLASSES = 10
NAME = re.compile(r"[0-9]+\.bin")
# The longest of 1100 recordings at hand lasts 336 ms.
BINNING = PixelBinning(side=SIZE, dt=5e-3, steps=72)


def nmnist(data: Path, binning: PixelBinning = BINNING) -> Task:
    """Ten digits, 2312 lines (34 x 34 pixels, ON and OFF), up to 72 steps of 5 ms.

    `data` is the folder of `Train/` (60,000 files `DIGIT/NUMBER.bin`) and `Test/` (10,000). Files
    are read when a batch needs them. Licence: CC BY-SA 4.0. Source: Orchard, Jayawant, Cohen,
    Thakor 2015, Converting static image datasets to spiking neuromorphic datasets using saccades,
    arXiv 1507.07629.

        task = nmnist(Path("nmnist"))
    """
    train, test = (_files(data / part) for part in ("Train", "Test"))
    return Task(
        name="nmnist",
        summary=f"10 classes: {len(train) + len(test)} handwritten digits, seen by an event "
        "camera.",
        lines=binning.lines,
        outputs=CLASSES,
        dt=binning.dt,
        shape=binning.shape,
        train=Recordings(partial(_read, train, binning), len(train), binning.steps),
        test=Recordings(partial(_read, test, binning), len(test), binning.steps),
    )


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Give the one above Train and Test.")
    found = [path for digit in range(CLASSES) for path in sorted((folder / str(digit)).glob("*"))]
    for path in found:
        if not NAME.fullmatch(path.name):
            raise DataError(f"{path}: must be named NUMBER.bin. Rename or remove it.")
    if not found:
        raise DataError(f"{folder}: holds no recordings 0/*.bin to 9/*.bin. Unpack the set there.")
    return found


def _read(files: list[Path], binning: PixelBinning, index: int) -> Recording:
    path = files[index]
    return one_class(binning(read_nmnist(path), f"{path}"), int(path.parent.name))
