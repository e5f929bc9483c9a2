"""Spike files: recordings in the format of the Heidelberg spiking data sets as a source."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int

from tracegrad.data.checks import at_least
from tracegrad.data.events import Events
from tracegrad.data.formats.hdf5_spikes import SpikeFile
from tracegrad.data.recordings import Recording, Recordings, binned, one_class, until
from tracegrad.data.task import Task
from tracegrad.errors import DataError, UsageError

LINES = 700


@dataclass(frozen=True)
class SpikeBinning:
    """Spikes of 700 lines, counted in `steps` steps of `dt` seconds.

    `pool` neighbouring lines count as one. A recording ends with the step of its last spike. One
    that is longer than `steps` is refused, or with `cut` loses its end. With the defaults, 1.4 s,
    nothing of SHD is longer (Cramer et al. 2020 give 1.4 s as the time of their simulations).
    """

    dt: float = 10e-3
    steps: int = 140
    pool: int = 1
    cut: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit."""
        at_least(1, steps=self.steps, pool=self.pool)
        if LINES % self.pool:
            raise UsageError(f"pool must divide {LINES}, got {self.pool}. Take 1, 5, 7 or 10.")

    @property
    def lines(self) -> int:
        """Input lines after pooling."""
        return LINES // self.pool

    def source(self, file: SpikeFile, chosen: Int[np.ndarray, "N"] | None = None) -> Recordings:
        """The recordings of a file, or those `chosen` by index."""
        indices = np.arange(len(file)) if chosen is None else chosen
        return Recordings(partial(self._read, file, indices), len(indices), self.steps)

    def _read(self, file: SpikeFile, indices: Int[np.ndarray, "N"], position: int) -> Recording:
        index = int(indices[position])
        events = file.events(index)
        pooled = Events(events.time, events.line // self.pool, self.lines)
        if self.cut:
            pooled = until(pooled, self.dt, self.steps)
        where = f"{file.path}, recording {index},"
        return one_class(binned(pooled, self.dt, self.steps, where), int(file.labels[index]))


BINNING = SpikeBinning()


def heidelberg(data: Path, name: str, classes: int, what: str, binning: SpikeBinning) -> Task:
    """A set of two files, `NAME_train.h5` and `NAME_test.h5`, with `what` in its recordings."""
    train, test = (spike_file(data, f"{name}_{part}.h5", classes) for part in ("train", "test"))
    return Task(
        name=name,
        summary=f"{classes} classes: {len(train) + len(test)} {what} as spikes of a cochlea.",
        lines=binning.lines,
        outputs=classes,
        dt=binning.dt,
        train=binning.source(train),
        test=binning.source(test),
    )


def spike_file(data: Path, name: str, classes: int | None = None) -> SpikeFile:
    """`name` in the folder `data`, with at most `classes` classes."""
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder. Give the one that holds {name}.")
    file = SpikeFile(data / name, LINES)
    if classes is not None and file.classes > classes:
        raise DataError(
            f"{file.path}: must have {classes} classes, has {file.classes}. "
            "Check that it is the right file."
        )
    return file
