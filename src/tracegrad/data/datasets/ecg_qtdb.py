"""ECG: which wave of the heartbeat is it now, asked at every step."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8, UInt8

from tracegrad.data.npz import Kind, read_npz
from tracegrad.data.recordings import Recording, Recordings
from tracegrad.data.task import Task
from tracegrad.errors import DataError

FILE = "qtdb_events.npz"
CLASSES, LINES, STEPS = 6, 4, 1300  # the file has a step more, an end marker
QUIET = 10  # first steps that do not count, as in the source
DT = 4e-3  # seconds: the recordings have 250 samples a second


class _Set(NamedTuple):
    x: Int8[np.ndarray, "N 1301 4"]
    y: UInt8[np.ndarray, "N 1301"]
    labelled: Bool[np.ndarray, "N 1301"]


def ecg_qtdb(data: Path) -> Task:
    """Six waves (P PQ QR RS ST TP), 4 lines, 1300 steps of 4 ms, a label at every step.

    Lines are level crossings of two leads, up and down. Every step from the tenth on that has a
    label is an answer of its own; 8 % of the training steps have none and do not count. `data` is
    the file `qtdb_events.npz` or its folder: `x_train` (N, 1301, 4) int8, `y_train` (N, 1301)
    uint8, `unlabelled_train` packed bits, the same for test; 618 and 141 sequences. Licence: MIT
    (encoding); the recordings are of PhysioNet's QT Database, ODC-By 1.0. Source: Laguna et al.
    1997; Yin, Corradi, Bohte 2021, Accurate and efficient time-domain classification with adaptive
    spiking recurrent neural networks (about .86 by their protocol: see `ecg_qtdb_published`).

        task = ecg_qtdb(Path("ecg_qtdb"))
    """
    return _task("ecg_qtdb", data, published=False)


def ecg_qtdb_published(data: Path) -> Task:
    """The same as published: a step without a label counts, as the first wave (P).

    So its accuracy can be set beside that of the source. Files, licence and source: `ecg_qtdb`.

        task = ecg_qtdb_published(Path("ecg_qtdb"))
    """
    return _task("ecg_qtdb_published", data, published=True)


def _task(name: str, data: Path, published: bool) -> Task:
    path = data / FILE if data.is_dir() else data
    train, test = (_set(path, part, published) for part in ("train", "test"))
    return Task(
        name=name,
        summary="6 classes: the wave of the heartbeat at every step, from level crossings of an "
        "ECG.",
        lines=LINES,
        outputs=CLASSES,
        dt=DT,
        train=Recordings(partial(_read, train), len(train.x), STEPS),
        test=Recordings(partial(_read, test), len(test.x), STEPS),
        stepwise=True,
    )


def _set(path: Path, part: str, published: bool) -> _Set:
    steps = STEPS + 1
    kinds = {
        f"x_{part}": Kind(np.int8, (None, steps, LINES)),
        f"y_{part}": Kind(np.uint8, (None, steps)),
        f"unlabelled_{part}": Kind(np.uint8, (None, -(-steps // 8))),
    }
    x, y, packed = read_npz(path, kinds).values()
    if not 0 < len(x) == len(y) == len(packed):
        raise DataError(
            f"{path}: x, y and unlabelled of {part} must be equally long, got {len(x)}, {len(y)} "
            f"and {len(packed)}."
        )
    events = x[:, :STEPS]
    if events.min() < 0 or events.max() > 1 or y.max() >= CLASSES:
        raise DataError(f"{path}: x must hold 0 and 1, y 0 to {CLASSES - 1}. Replace the file.")
    labelled = np.unpackbits(packed, axis=1)[:, :steps] == 0
    labelled |= published
    labelled[:, :QUIET] = False
    if not labelled[:, :STEPS].any(axis=1).all():
        raise DataError(f"{path}: a sequence of {part} has no label at all. Replace the file.")
    return _Set(x, y, labelled)


def _read(held: _Set, index: int) -> Recording:
    counts = held.labelled[index, :STEPS].astype(np.float32)
    return Recording(
        x=held.x[index, :STEPS].astype(np.float32),
        y=np.where(counts > 0, held.y[index, :STEPS], 0).astype(np.int32),
        weight=counts / counts.sum(),
    )
