"""SHD: spoken digits in English and German, heard by an artificial cochlea."""

from pathlib import Path

from tracegrad.data.datasets.spike_files import BINNING, SpikeBinning, spike_file
from tracegrad.data.task import Task

CLASSES = 20


def shd(data: Path, binning: SpikeBinning = BINNING) -> Task:
    """Twenty classes (0 to 9 in two languages), 700 lines, up to 140 steps of 10 ms.

    `data` is the folder of `shd_train.h5` (8156 recordings) and `shd_test.h5` (2264; two of their
    speakers are in no training recording). Recordings are read when a batch needs them. Licence:
    CC BY 4.0. Source: Cramer, Stradmann, Schemmel, Zenke 2020, The Heidelberg spiking data sets,
    arXiv 1910.07407.

        task = shd(Path("shd"), SpikeBinning(dt=4e-3, steps=350, pool=5))
    """
    train, test = (spike_file(data, f"shd_{part}.h5", CLASSES) for part in ("train", "test"))
    return Task(
        name="shd",
        summary=f"20 classes: {len(train) + len(test)} spoken digits as spikes of a cochlea.",
        lines=binning.lines,
        outputs=CLASSES,
        dt=binning.dt,
        train=binning.source(train),
        test=binning.source(test),
    )
