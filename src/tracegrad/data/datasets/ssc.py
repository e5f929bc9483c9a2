"""SSC: the words of Google Speech Commands, heard by an artificial cochlea."""

from pathlib import Path

from tracegrad.data.datasets.spike_files import BINNING, SpikeBinning, heidelberg
from tracegrad.data.task import Task

CLASSES = 35


def ssc(data: Path, binning: SpikeBinning = BINNING) -> Task:
    """Thirty-five words, 700 lines, up to 140 steps of 10 ms.

    `data` is the folder of `ssc_train.h5` (75,466 recordings) and `ssc_test.h5` (20,382);
    `ssc_valid.h5` (9981) is for tuning and is not read. Recordings are read when a batch needs
    them. Licence: CC BY 4.0. Source: Cramer et al. 2020 (arXiv 1910.07407), from Speech Commands
    (Warden 2018, arXiv 1804.03209).

        task = ssc(Path("ssc"))
    """
    return heidelberg(data, "ssc", CLASSES, "spoken words", binning)
