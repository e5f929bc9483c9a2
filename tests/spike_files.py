"""Small files in the format of the Heidelberg spiking data sets, written with h5py."""

from pathlib import Path

import h5py
import numpy as np


def recordings(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Times as SHD has them, sorted float16 seconds, and units; the first has no spike."""
    rng = np.random.default_rng(seed)
    lengths = [0, *rng.integers(5, 60, count - 1)]
    times = [np.sort(rng.uniform(0, 1.2, n)).astype(np.float16) for n in lengths]
    return times, [rng.integers(0, 700, n).astype(np.uint16) for n in lengths]


def write_lists(file: h5py.File, name: str, lists: list[np.ndarray], **layout) -> None:
    kind = h5py.vlen_dtype(lists[-1].dtype)
    found = file.create_dataset(name, (len(lists),), dtype=kind, **layout)
    for index, values in enumerate(lists):
        found[index] = values


def write_spikes(path: Path, count: int = 4, classes: int = 3, seed: int = 0, **layout) -> Path:
    times, units = recordings(count, seed)
    with h5py.File(path, "w") as file:
        write_lists(file, "spikes/times", times, **layout)
        write_lists(file, "spikes/units", units, **layout)
        file["labels"] = (np.arange(count) % classes).astype(np.uint16)
        file["extra/keys"] = np.array([f"word{i}".encode() for i in range(classes)])
        file["extra/speaker"] = np.zeros(count, np.uint16)
    return path
