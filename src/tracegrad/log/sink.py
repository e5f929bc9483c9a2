"""Sink: where the metrics of a run go, and how it knows which of them it has."""

import json
import secrets
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tracegrad.errors import DataError
from tracegrad.report.seen import flat
from tracegrad.run.config import Config
from tracegrad.run.disk import write
from tracegrad.run.folder import RunFolder
from tracegrad.run.train import Epoch

LOG = "log.json"  # of a run folder: what its sinks must remember between two calls


class AbstractSink(ABC):
    """One tool's record of one run; it holds the first `done` epochs, from whatever process."""

    done: int

    @abstractmethod
    def add(self, number: int, values: dict[str, float]) -> None:
        """Take the numbers of one more epoch, all of them or none, and count it in `done`."""

    @abstractmethod
    def close(self, finished: bool) -> None:
        """Let all reach the tool; `finished` says whether the run has come to its end."""


def numbers(epoch: Epoch) -> dict[str, float]:
    """What an epoch came to, as numbers by name; what there is not is left out."""
    plain = {n: v for n, v in asdict(epoch).items() if isinstance(v, int | float) and n != "epoch"}
    return {name: float(value) for name, value in plain.items()}


def settings(config: Config) -> dict[str, str]:
    """All settings by their dotted names, as text."""
    return {name: str(value) for name, value in flat(asdict(config)).items()}


def remembered(run: RunFolder) -> dict[str, Any]:
    """What `remember` wrote; at first a name for the run that no other run has."""
    path = run.path / LOG
    if not path.is_file():
        remember(run.path, {"id": secrets.token_hex(8)})
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}. Delete it to log as a new run.") from error
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):
        raise DataError(f"{path} holds no name of a run. Delete it to log as a new run.")
    return found


def remember(folder: Path, what: dict[str, Any]) -> None:
    """Write it, all or not at all."""
    write(folder / LOG, json.dumps(what).encode())
