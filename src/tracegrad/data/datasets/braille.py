"""Braille letters: a fingertip of twelve taxels slides over seven letters."""

from pathlib import Path

import numpy as np

from tracegrad.data.npz import Kind, read_npz
from tracegrad.data.sequences import Sequences
from tracegrad.data.task import Task
from tracegrad.errors import DataError

STEPS, LINES, CLASSES = 256, 12, 7
FILE = "braille7_events.npz"


def braille(data: Path) -> Task:
    """Seven letters (space A E I O U Y) from tactile events, 256 steps of 5 ms, 12 lines.

    `data` is the file `braille7_events.npz` or its folder: `x` (N, 256, 12) uint8 of 0 and 1, `y`
    (N,) uint8 the letter, `test` (N,) bool the split; 878 training and 280 test sequences. Source:
    Mueller-Cleve et al. 2022, recordings; level crossing with threshold 1, ON and OFF merged.

        task = braille(Path("braille_letters"))
    """
    path = data / FILE if data.is_dir() else data
    arrays = read_npz(
        path,
        {
            "x": Kind(np.uint8, (None, STEPS, LINES)),
            "y": Kind(np.uint8, (None,)),
            "test": Kind(np.bool_, (None,)),
        },
    )
    x, y, test = arrays["x"], arrays["y"], arrays["test"]
    if not len(x) == len(y) == len(test):
        raise DataError(
            f"{path}: x, y and test must be equally long, got {len(x)}, {len(y)} and {len(test)}."
        )
    if x.max(initial=0) > 1 or y.max(initial=0) >= CLASSES:
        raise DataError(f"{path}: x must hold 0 and 1, y 0 to {CLASSES - 1}. Replace the file.")
    if test.all() or not test.any():
        raise DataError(f"{path}: test must mark some sequences, and not all. Replace the file.")
    train, held_out = (
        Sequences(x[mask], np.full(mask.sum(), STEPS), y[mask], CLASSES) for mask in (~test, test)
    )
    return Task(
        name="braille",
        summary="7 classes: real tactile events of a fingertip that slides over braille letters.",
        lines=LINES,
        outputs=CLASSES,
        dt=5e-3,
        train=train,
        test=held_out,
    )
