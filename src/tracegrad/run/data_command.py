"""Data command: `tracegrad data list`, `data get NAME`, `data cochlea DIR OUT.h5`."""

import os
from dataclasses import dataclass
from pathlib import Path

from tracegrad.data import TASKS
from tracegrad.data.archive import unpack
from tracegrad.data.catalogue import CATALOGUE, DataSet
from tracegrad.data.download import download
from tracegrad.errors import DataError, UsageError
from tracegrad.run.build import DATA
from tracegrad.run.cochlea_command import cochlea
from tracegrad.run.options import parse
from tracegrad.run.table import print_list

USES = "tracegrad data list, tracegrad data get NAME, tracegrad data cochlea DIR OUT.h5"


@dataclass(frozen=True)
class GetOptions:
    """Download a public data set: its licence is printed first, digests are compared."""

    into: Path | None = None
    """Folder of all data sets, one folder each; None: TRACEGRAD_DATA, or data/ here."""


def data(arguments: list[str]) -> None:
    """List the data sets, download one, or turn speech into spikes."""
    commands = {"list": _list, "get": _get, "cochlea": cochlea}
    if not arguments or arguments[0] not in commands:
        raise UsageError(f"data needs one of: {USES}.")
    commands[arguments[0]](arguments[1:])


def _root(into: Path | None = None) -> Path:
    return into or Path(os.environ.get(DATA) or "data")


def _list(arguments: list[str]) -> None:
    if arguments:
        raise UsageError(f"tracegrad data list takes no options, got {' '.join(arguments)}.")
    root = _root()
    entries = []
    for name, entry in CATALOGUE.items():
        place = f"in {root / name}" if (root / name).is_dir() else f"not in {root}"
        how = "" if entry.files else ", to be fetched by hand"
        entries.append((name, f"{entry.what}; {entry.size} MB{how}; {entry.licence}; {place}"))
    print_list(entries)


def _get(arguments: list[str]) -> None:
    if arguments and not arguments[0].startswith("-"):
        name = arguments[0].replace("-", "_")
    elif {"-h", "--help"} & set(arguments):
        name = next(iter(CATALOGUE))
    else:
        raise UsageError(f"data get needs a set: {', '.join(CATALOGUE)}.")
    if name not in CATALOGUE:
        raise UsageError(f"There is no data set {arguments[0]}. There are {', '.join(CATALOGUE)}.")
    rest = arguments if arguments[0].startswith("-") else arguments[1:]
    entry = CATALOGUE[name]
    folder = _root(parse(GetOptions(), "data get NAME", rest).into) / name
    print(f"{entry.what}: some {entry.size} MB. Licence: {entry.licence}.")
    print(f"  source: {entry.source}", flush=True)
    if not entry.files:
        raise DataError(f"{name} has to be fetched by hand. {entry.by_hand}: {folder}.")
    fetch(entry, folder)
    for task in (task for task, made in TASKS.items() if made.folder == name):
        print(f"  tracegrad train {task.replace('_', '-')} --data {folder}")


def fetch(entry: DataSet, folder: Path) -> None:
    """Download the files of a set into `folder`, and unpack the archives among them."""
    for file in entry.files:
        checked = download(file, folder)
        path = folder / file.name
        print(f"  {path}: {checked}", flush=True)
        if file.name.endswith((".zip", ".tar.gz")):
            print(f"  unpacked {unpack(path, folder, entry.strip)} files", flush=True)
