"""Position: where a training stands, besides the learner's state."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from tracegrad.data import Task
from tracegrad.errors import DataError
from tracegrad.run.strict_json import from_json
from tracegrad.run.tally import Tally


@dataclass(frozen=True)
class Position:
    """The manifest of a checkpoint.

    `config` and `data` are SHA-256 of the settings and of the data, `made` is what the numbers
    depend on besides. `order` is the generator of the order of the data as it was when the epoch
    under way began, of which `tally` says how many batches are done; `level` is the curriculum's,
    `numbers` are those that were changed from what the settings say, the learning rate among them.
    `epochs` are the metrics of epochs that are done, as JSON; `elapsed` are seconds of the epoch,
    `seconds` those of all.
    """

    config: str
    data: str
    made: dict[str, str]
    number: int
    epochs: list[str]
    order: dict[str, Any]
    level: int | None
    numbers: dict[str, float]
    tally: Tally
    elapsed: float
    seconds: float

    def to_json(self) -> str:
        """The text that `from_text` reads."""
        return json.dumps(asdict(self), allow_nan=False)

    @staticmethod
    def from_text(text: str, name: str) -> "Position":
        """Read it; `DataError` names the file where something is not as it must be."""
        try:
            return from_json(Position, text)
        except ValueError as error:
            raise DataError(f"{name}: its manifest is wrong: {error}.") from error

    def check(self, config: str, data: str, name: str) -> None:
        """Refuse to go on with other settings or other data."""
        if self.config != config:
            raise DataError(
                f"{name} is of other settings: the configuration was changed since. Put it back, "
                "or train in another folder."
            )
        if self.data != data:
            raise DataError(f"{name} is of other data: they were changed since. Put them back.")

    def other(self, made: Mapping[str, str]) -> str:
        """What the numbers depend on and is another now, in words; empty if all is as it was."""
        changed = [
            f"{name} was {self.made.get(name)}, is {made.get(name)}"
            for name in sorted(self.made.keys() | made.keys())
            if self.made.get(name) != made.get(name)
        ]
        return ", ".join(changed)


def data_digest(task: Task, size: int) -> str:
    """SHA-256 of how many sequences there are and of the first batch of either set."""
    digest = sha256(f"{task.train.size} {task.test.size}".encode())
    for source in (task.train, task.test):
        for part in next(source.batches(size, None)):
            digest.update(np.asarray(part, order="C").tobytes())
    return digest.hexdigest()
