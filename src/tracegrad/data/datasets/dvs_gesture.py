"""DVS Gesture: eleven gestures of hand and arm before an event camera."""

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tracegrad.data.datasets.pixel_events import PixelBinning
from tracegrad.data.formats.aedat3 import Label, read_aedat3, read_labels
from tracegrad.data.formats.listed import read_bytes
from tracegrad.data.recordings import Recording, Recordings, one_class
from tracegrad.data.task import Task
from tracegrad.errors import DataError

CLASSES, SIDE = 11, 128
NAME = re.compile(r"user[0-9]{2}_[a-z_]+\.aedat")
LARGEST_LIST = 2**16  # bytes
BINNING = PixelBinning(side=SIDE, dt=25e-3, steps=60, pool=4, at_most=4, cut=True)


class _Gesture(NamedTuple):
    path: Path
    label: Label


def dvs_gesture(data: Path, binning: PixelBinning = BINNING) -> Task:
    """Eleven gestures, 2048 lines (32 x 32 squares, ON and OFF), the first 1.5 s in 25 ms steps.

    `data` is the folder of `trials_to_train.txt`, `trials_to_test.txt`, the recordings
    `userNN_LIGHT.aedat` (AEDAT 3.1) and their tables `userNN_LIGHT_labels.csv`: 23 users for
    training, 6 for the test. A gesture lasts some six seconds; its start is read from disk when a
    batch needs it, at the cost of a pass over the file of its recording. Licence: CC BY 4.0.
    Source: Amir et al. 2017, A low power, fully event-based gesture recognition system, CVPR.

        task = dvs_gesture(Path("DvsGesture"))
    """
    train, test = (_gestures(data, f"trials_to_{part}.txt") for part in ("train", "test"))
    return Task(
        name="dvs_gesture",
        summary=f"11 classes: {len(train) + len(test)} gestures seen by an event camera, the "
        f"first {binning.steps * binning.dt:g} s of each.",
        lines=binning.lines,
        outputs=CLASSES,
        dt=binning.dt,
        shape=binning.shape,
        train=Recordings(partial(_read, train, binning), len(train), binning.steps),
        test=Recordings(partial(_read, test, binning), len(test), binning.steps),
    )


def _gestures(data: Path, name: str) -> list[_Gesture]:
    text = read_bytes(data / name, LARGEST_LIST).decode("utf-8", "replace")
    found = []
    for trial in filter(None, map(str.strip, text.splitlines())):
        if not NAME.fullmatch(trial):
            raise DataError(f"{data / name}: must list userNN_LIGHT.aedat, lists {trial[:60]!r}.")
        path = data / trial
        table = path.with_name(f"{path.stem}_labels.csv")
        found += [_Gesture(path, label) for label in read_labels(table, CLASSES)]
    if not found:
        raise DataError(f"{data / name}: lists no recordings. Replace it.")
    return found


def _read(gestures: list[_Gesture], binning: PixelBinning, index: int) -> Recording:
    path, (label, start, end) = gestures[index]
    if binning.cut:
        end = min(end, start + round(1e6 * binning.steps * binning.dt))
    return one_class(binning(read_aedat3(path, start, end, SIDE, SIDE), f"{path}"), label - 1)
