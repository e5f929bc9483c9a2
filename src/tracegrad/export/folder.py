"""Folder: a device written out as a C library with its test vector and README."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tracegrad.export.account import Measured, descent, measured, readme
from tracegrad.export.device import Block, Device, follow
from tracegrad.export.model import model
from tracegrad.export.remembered import remembered
from tracegrad.export.source import source, vector
from tracegrad.run.folder import make_folder


class Written(NamedTuple):
    """Where a library lies, and what it needs if that could be measured."""

    path: Path
    size: Measured | None


def write_library(device: Device, block: Block, path: Path) -> Written:
    """Write everything; the block is the test vector. The folder must not exist."""
    made = model(device)  # refuses before there is a folder
    files = source(device, made)
    _, digests = follow(device, block, lambda state: remembered(device, state).digest)
    files["vector.h"] = vector(block, np.asarray(digests))
    return write_files(
        files, path, lambda size: readme(made, size, block.steps, descent(device.rate))
    )


def write_files(
    files: dict[str, str], path: Path, describe: Callable[[Measured | None], str]
) -> Written:
    """Write the files of a library and the README that says what it needs."""
    make_folder(path)
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")
    size = measured(path)
    (path / "README.md").write_text(describe(size), encoding="utf-8")
    return Written(path, size)
