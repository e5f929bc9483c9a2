"""SSC: the words of Google Speech Commands, heard by an artificial cochlea."""

from pathlib import Path

from tracegrad.data.datasets.spike_files import BINNING, SpikeBinning, spike_file
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
    train, test = (spike_file(data, f"ssc_{part}.h5", CLASSES) for part in ("train", "test"))
    return Task(
        name="ssc",
        summary=f"35 classes: {len(train) + len(test)} spoken words as spikes of a cochlea.",
        lines=binning.lines,
        outputs=CLASSES,
        dt=binning.dt,
        train=binning.source(train),
        test=binning.source(test),
    )
