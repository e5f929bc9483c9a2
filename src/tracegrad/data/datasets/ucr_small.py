"""Two small sets of real time series: Japanese vowels and basic motions."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from tracegrad.data.npz import Kind, read_npz
from tracegrad.data.recordings import Recording, Recordings, one_class
from tracegrad.data.task import Task
from tracegrad.errors import DataError


class _Shape(NamedTuple):
    """Channels, classes, longest series, seconds a step."""

    channels: int
    classes: int
    steps: int
    dt: float


class _Set(NamedTuple):
    x: Float32[np.ndarray, "total channels"]
    offset: Int64[np.ndarray, "N+1"]
    y: UInt8[np.ndarray, "N"]


def japanese_vowels(data: Path) -> Task:
    """Nine speakers told apart by one vowel, 12 lines (LPC cepstra), 7 to 29 steps of 6.4 ms.

    Values are real, each line with mean 0 and standard deviation 1 over the training set. `data`
    is the file `JapaneseVowels.npz` or its folder: `x_train` (all steps, 12) float32,
    `offset_train` where each series begins, `y_train`, the same for test; 270 and 370 series.
    Licence: CC BY 4.0 (UCI). Source: Kudo, Toyama, Shimbo 1999, Multidimensional curve
    classification using passing-through regions.

        task = japanese_vowels(Path("ucr_small"))
    """
    shape = _Shape(12, 9, 29, 6.4e-3)
    summary = "9 classes: who says the vowel ae, from cepstra of the sound."
    return _task("japanese_vowels", summary, data, "JapaneseVowels.npz", shape)


def basic_motions(data: Path) -> Task:
    """Four activities (badminton, running, standing, walking), 6 lines, 100 steps of 0.1 s.

    Acceleration and turning of a smartwatch, each line with mean 0 and standard deviation 1 over
    the training set; 40 series for training, 40 for the test. File as for `japanese_vowels`, named
    `BasicMotions.npz`. Licence: not stated by the archive. Source: UEA multivariate time series
    archive, Bagnall et al. 2018, arXiv 1811.00075.

        task = basic_motions(Path("ucr_small"))
    """
    shape = _Shape(6, 4, 100, 0.1)
    summary = "4 classes: what a person does, from the motion of a smartwatch."
    return _task("basic_motions", summary, data, "BasicMotions.npz", shape)


def _task(name: str, summary: str, data: Path, file: str, shape: _Shape) -> Task:
    path = data / file if data.is_dir() else data
    train, test = (_set(path, part, shape) for part in ("train", "test"))
    mean, spread = train.x.mean(axis=0), train.x.std(axis=0)
    if not (spread > 0).all():
        raise DataError(f"{path}: a line never changes in training. Replace the file.")
    first, second = (
        Recordings(partial(_read, part, mean, spread), len(part.y), shape.steps)
        for part in (train, test)
    )
    return Task(name, summary, shape.channels, shape.classes, shape.dt, first, second)


def _set(path: Path, part: str, shape: _Shape) -> _Set:
    kinds = {
        f"x_{part}": Kind(np.float32, (None, shape.channels)),
        f"offset_{part}": Kind(np.int64, (None,)),
        f"y_{part}": Kind(np.uint8, (None,)),
    }
    x, offset, y = read_npz(path, kinds).values()
    length = np.diff(offset)
    fits = len(y) and len(offset) == len(y) + 1 and offset[0] == 0 and offset[-1] == len(x)
    if not fits or length.min() < 1 or length.max() > shape.steps:
        raise DataError(
            f"{path}: offset_{part} must cut x into a series of 1 to {shape.steps} steps for each "
            "label. Replace the file."
        )
    if not np.isfinite(x).all() or y.max() >= shape.classes:
        raise DataError(
            f"{path}: x must be finite and y 0 to {shape.classes - 1}. Replace the file."
        )
    return _Set(x, offset, y)


def _read(
    held: _Set,
    mean: Float32[np.ndarray, "channels"],
    spread: Float32[np.ndarray, "channels"],
    index: int,
) -> Recording:
    start, end = held.offset[index : index + 2]
    return one_class((held.x[start:end] - mean) / spread, int(held.y[index]))
