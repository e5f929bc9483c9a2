"""Wanted: what who watches a run asks of it besides a pause, through a file of its folder."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tracegrad.run.disk import write
from tracegrad.run.strict_json import from_json

WANTED = "wanted.json"
LARGEST = 1 << 12  # bytes of it; more is not read


@dataclass(frozen=True)
class Wanted:
    """A learning rate, and the synapse to follow: neuron and input line of the first layer."""

    learning_rate: float | None = None
    synapse: list[int] | None = None

    def __post_init__(self) -> None:
        """Refuse what no run can heed."""
        rate, synapse = self.learning_rate, self.synapse
        if rate is not None and not 0 < rate < float("inf"):
            raise ValueError(f"learning_rate must be positive and finite, got {rate}")
        if synapse is not None and (len(synapse) != 2 or min(synapse) < 0):
            raise ValueError(f"synapse must be a neuron and a line, got {synapse}")


def wanted(folder: Path, warn: Callable[[str], None] = lambda sentence: None) -> Wanted:
    """What is wanted now; nothing, and a sentence to `warn`, if that cannot be read."""
    path = folder / WANTED
    try:
        with path.open("rb") as file:
            return from_json(Wanted, file.read(LARGEST).decode())
    except FileNotFoundError:
        return Wanted()
    except (OSError, ValueError) as error:
        warn(f"{path} is ignored, as it is damaged: {error}. Ask again on the page.")
        return Wanted()


def want(folder: Path, what: Wanted) -> None:
    """Let the run know."""
    write(folder / WANTED, json.dumps(asdict(what)).encode())


def asked_at(path: Path) -> int:
    """When a file was last written, in ns; 0 if it is not there, or out of reach for now."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
