"""Cochlea speech: any folder of speech, heard by the artificial cochlea, as a set of its own."""

from pathlib import Path

import numpy as np

from tracegrad.data.datasets.spike_files import LINES, SpikeBinning
from tracegrad.data.formats.hdf5_spikes import SpikeFile
from tracegrad.data.task import Task
from tracegrad.errors import DataError

# Sounds may be longer than SHD's: the Free Spoken Digit Dataset has one of 2.3 s.
BINNING = SpikeBinning(steps=240)
FILE = "cochlea.h5"


def cochlea_speech(data: Path, binning: SpikeBinning = BINNING) -> Task:
    """The labels of a file that `tracegrad data cochlea DIR OUT.h5` made, 700 lines, 10 ms steps.

    `data` is that file, or the folder of one named `cochlea.h5`. Recordings are read when a batch
    needs them. The set is its own, not SHD: its numbers are not SHD's. Licence: that of the
    sounds. Source: `tracegrad.data.cochlea`, after Cramer et al. 2020 (arXiv 1910.07407).

        task = cochlea_speech(Path("digits.h5"))
    """
    file = SpikeFile(data / FILE if data.is_dir() else data, LINES)
    if file.test is None:
        raise DataError(f"{file.path}: has no extra/test. Make it with tracegrad data cochlea.")
    train, test = (np.flatnonzero(file.test == part) for part in (False, True))
    if not (len(train) and len(test)):
        raise DataError(f"{file.path}: extra/test must mark some recordings, and not all.")
    return Task(
        name="cochlea_speech",
        summary=f"{file.classes} classes: {len(file)} sounds as spikes of an artificial cochlea.",
        lines=binning.lines,
        outputs=file.classes,
        dt=binning.dt,
        train=binning.source(file, train),
        test=binning.source(file, test),
    )
