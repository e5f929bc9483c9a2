"""HDF5 writing: spikes into a file of the format of the Heidelberg spiking data sets."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tracegrad.data.events import MICROSECONDS, Events
from tracegrad.data.extras import extra
from tracegrad.errors import UsageError


class Spoken(NamedTuple):
    """Labels, speakers and split of the recordings of a file; `label` and `speaker` are indices."""

    keys: tuple[str, ...]
    labels: tuple[int, ...]
    speakers: tuple[int, ...]
    test: tuple[bool, ...]


def write_spikes(path: Path, spoken: Spoken, recordings: Iterable[Events]) -> None:
    """Write recordings one by one; the file gets its name when it is whole.

    `spikes/times` (float32 seconds; the published files have float16, which is 1 ms at 1 s),
    `spikes/units`, `labels`, `extra/keys`, `extra/speaker`, and, beyond the published format,
    `extra/test`: 1 where a recording is for testing.
    """
    if path.exists():
        raise UsageError(f"{path} is there already. Remove it, or give another name.")
    h5py = extra("h5py", "HDF5 files")
    part = path.with_name(f"{path.name}.part")
    count = len(spoken.labels)
    with h5py.File(part, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        file["labels"] = np.array(spoken.labels, np.uint16)
        file["extra/keys"] = np.array([key.encode() for key in spoken.keys])
        file["extra/speaker"] = np.array(spoken.speakers, np.uint16)
        file["extra/test"] = np.array(spoken.test, np.uint8)
        for index, events in enumerate(recordings):
            times[index] = (events.time / MICROSECONDS).astype(np.float32)
            units[index] = events.line.astype(np.uint16)
    part.replace(path)
