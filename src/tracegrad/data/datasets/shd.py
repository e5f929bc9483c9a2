"""SHD: spoken digits in English and German, heard by an artificial cochlea."""

from pathlib import Path

from tracegrad.data.datasets.spike_files import BINNING, SpikeBinning, heidelberg
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
    return heidelberg(data, "shd", CLASSES, "spoken digits", binning)
