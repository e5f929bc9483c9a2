"""Kept: all of a stream's learner in its folder, and how far it came after that was kept."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax

from tracegrad.errors import DataError
from tracegrad.run.checkpoint import Checkpoint
from tracegrad.run.config import Config
from tracegrad.run.config_file import to_toml
from tracegrad.run.disk import replace
from tracegrad.run.flat import flatten, unflatten
from tracegrad.run.folder import CHECKPOINTS
from tracegrad.run.keeper import Keeper
from tracegrad.run.learner_state import LearnerState
from tracegrad.run.strict_json import from_json

REACHED = "reached.json"  # how far the stream came, written more often than all of its state
EVERY = 1.0  # seconds between two of these
ROOM = 1 << 20  # bytes of a checkpoint besides its arrays


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says: SHA-256 of the settings, and the steps learned in all lives.

    `numbers` are those that were changed from what the settings say.
    """

    config: str
    steps: int
    numbers: dict[str, float]


class Before(NamedTuple):
    """The state to go on from, the steps in it, and those that came later and are lost.

    `numbers` are those that were changed from what the settings say.
    """

    state: LearnerState
    steps: int = 0
    lost: int = 0
    numbers: Mapping[str, float] = MappingProxyType({})


class Kept:
    """The checkpoints of a stream's folder, and how far it came."""

    def __init__(self, folder: Path, config: Config):
        """Nothing is read or made before it is asked for."""
        self.folder = folder
        self.keeper = Keeper(folder / CHECKPOINTS, _identity(config))
        self._said = 0.0

    def save(self, state: LearnerState, steps: int, numbers: dict[str, float]) -> None:
        """Keep all of a state after so many steps; a disk that refuses is a warning."""
        manifest = json.dumps(asdict(Manifest(self.keeper.identity, steps, numbers)))
        self.keeper.save(steps, Checkpoint(flatten(state), manifest))
        self._reach(steps)

    def reach(self, steps: int) -> None:
        """Note how far the stream came, once a second; it need not outlive a loss of power."""
        if time.monotonic() - self._said >= EVERY:
            self._reach(steps)

    def before(self, blank: LearnerState) -> Before | None:
        """The newest good state of the structure of `blank`; None without one of these settings."""
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(blank))
        found = self.keeper.newest(size + ROOM)
        if found is None:
            return None
        name = str(self.keeper.last)
        try:
            told = from_json(Manifest, found.manifest)
        except ValueError as error:
            raise DataError(f"{name}: its manifest is wrong: {error}.") from error
        if told.config != self.keeper.identity:
            return None
        state = unflatten(blank, found.arrays, name)
        return Before(state, told.steps, max(0, self._reached() - told.steps), told.numbers)

    def _reach(self, steps: int) -> None:
        self._said = time.monotonic()
        try:
            replace(self.folder / REACHED, json.dumps({"steps": steps}).encode())
        except OSError as error:
            self.keeper.warn(f"{self.folder / REACHED} could not be written: {error.strerror}.")

    def _reached(self) -> int:
        """Nothing where that is missing or damaged: it is a count for people."""
        try:
            return from_json(_Reached, (self.folder / REACHED).read_text(encoding="utf-8")).steps
        except (OSError, ValueError):
            return 0


@dataclass(frozen=True)
class _Reached:
    steps: int


def _identity(config: Config) -> str:
    """SHA-256 of the settings; of a user's neuron the name, as its file is copied from stream to
    stream.
    """
    neuron = config.network.neuron.rpartition(":")[2]
    named = changed(config, network=changed(config.network, neuron=neuron))
    return sha256(to_toml(named).encode()).hexdigest()
