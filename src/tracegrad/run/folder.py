"""Folder: what a run leaves behind; `summary.json` comes last: without it a run is unfinished."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tracegrad.errors import DataError, UsageError
from tracegrad.model import Network
from tracegrad.run.config import Config
from tracegrad.run.config_file import load_config, to_toml
from tracegrad.run.disk import append, make, write
from tracegrad.run.environment import environment
from tracegrad.run.keeper import Keeper
from tracegrad.run.record import Record
from tracegrad.run.record_file import from_npz, to_npz
from tracegrad.run.storage import Put
from tracegrad.run.train import Epoch, Result
from tracegrad.run.user_neuron import source_of
from tracegrad.run.weights import load_network, to_safetensors

CONFIG, METRICS, WEIGHTS = "config.toml", "metrics.jsonl", "weights.safetensors"
ENVIRONMENT, SUMMARY = "environment.json", "summary.json"
TIMES = "times.jsonl"  # the wall-clock times of the metrics, the only part that differs by run
CHECKPOINTS = "checkpoints"
TIMED = ("microseconds_per_step", "seconds")
CONFUSION, RECORD = "confusion.csv", "record.npz"
NEURON = "neuron.py"  # a user's neuron as it was when the run began


@dataclass(frozen=True)
class Summary:
    """What came out, written when all else is in the folder; `weights` is their SHA-256.

    `level` is where the curriculum of the task stood in the last epoch, `floors` are the task's,
    `plan` is in which order the gradient was computed, and why.
    """

    task: str
    rule: str
    update_every: int | None
    accuracy: float | None
    loss: float
    rate: float
    microseconds_per_step: float
    memory_bytes: int
    seconds: float
    weights: str
    level: int | None = None
    floors: dict[str, float] = field(default_factory=dict)
    plan: str = ""


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path):
        """An existing folder; `create` makes a new one."""
        self.path = path

    @staticmethod
    def create(path: Path, config: Config) -> "RunFolder":
        """Make the folder with configuration and environment; never over an existing one.

        The file of a user's neuron is copied, the configuration names the copy, and the
        environment holds where it came from and its SHA-256.
        """
        made, source = environment(), source_of(config.network.neuron)
        copied = b"" if source is None else source.file.read_bytes()
        make_folder(path)
        if source is not None:
            write(path / NEURON, copied)
            made["neuron"] = {"source": str(source.file), "sha256": _digest(path / NEURON)}
            named = replace(config.network, neuron=f"{NEURON}:{source.name}")
            config = replace(config, network=named)
        write(path / ENVIRONMENT, _json(made))
        write(path / CONFIG, to_toml(config).encode())  # last: with it the folder is a run
        return RunFolder(path)

    def keeper(self, every: int | None = None, put: Put | None = None) -> Keeper:
        """Keeps the run's checkpoints, one in `every` batches (None: one a minute)."""
        return Keeper(self.path / CHECKPOINTS, _digest(self.path / CONFIG), every, put=put)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / SUMMARY).is_file()

    def start(self, epochs: tuple[Epoch, ...]) -> None:
        """Let the metrics be those of these epochs, whatever a run that was cut short left."""
        metrics, times = zip(*map(_lines, epochs), strict=True) if epochs else ((), ())
        write(self.path / METRICS, b"".join(metrics))  # who reads meanwhile finds times for all
        write(self.path / TIMES, b"".join(times))

    def add(self, epoch: Epoch) -> None:
        """Append the metrics of an epoch, at once on disk; its times in a file of their own."""
        metrics, times = _lines(epoch)
        append(self.path / TIMES, times)
        append(self.path / METRICS, metrics)

    def save_weights(self, network: Network) -> None:
        """Write the weights."""
        write(self.path / WEIGHTS, to_safetensors(network))

    def save_record(self, record: Record) -> None:
        """Write the sequence that was recorded after training."""
        write(self.path / RECORD, to_npz(record))

    def finish(self, config: Config, result: Result) -> Summary:
        """Write confusion and summary: from now on the folder counts as finished."""
        if result.confusion is not None:
            text = StringIO()
            np.savetxt(text, result.confusion, fmt="%.17g", delimiter=",")
            write(self.path / CONFUSION, text.getvalue().encode())
        summary = Summary(
            task=config.task,
            rule=config.learning.rule,
            update_every=config.learning.update_every,
            accuracy=result.last.test_accuracy,
            loss=result.last.test_loss,
            rate=result.last.rate,
            microseconds_per_step=result.microseconds_per_step,
            memory_bytes=result.memory_bytes,
            seconds=result.seconds,
            weights=_digest(self.path / WEIGHTS),
            level=result.last.level,
            floors=dict(result.floors),
            plan=result.plan,
        )
        write(self.path / SUMMARY, _json(asdict(summary)))
        return summary

    def config(self) -> Config:
        """The configuration; `DataError` if the copy of a user's neuron is not that of the run."""
        if (self.path / NEURON).exists() and _digest(self.path / NEURON) != self._neuron_digest():
            raise DataError(
                f"{self.path / NEURON} is damaged: its SHA-256 is not that of {ENVIRONMENT}."
            )
        return load_config(self.path / CONFIG)

    def _neuron_digest(self) -> str | None:
        try:
            made = json.loads((self.path / ENVIRONMENT).read_text(encoding="utf-8"))
            return made["neuron"]["sha256"]
        except (OSError, TypeError, KeyError, ValueError) as error:
            raise DataError(f"{self.path / ENVIRONMENT} says nothing of {NEURON}.") from error

    def epochs(self) -> list[Epoch]:
        """Metrics of the epochs so far; a last line cut short by a crash is left out."""
        try:
            metrics = self._table(METRICS)  # first: times are written before them
            times = {line["epoch"]: line for line in self._table(TIMES)}
            return [Epoch(**(times.get(line["epoch"], {}) | line)) for line in metrics]
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(f"{self.path / METRICS} is broken: {error}.") from error

    def _table(self, name: str) -> list[dict[str, Any]]:
        if not (self.path / name).is_file():
            return []
        lines = (self.path / name).read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def summary(self) -> Summary:
        """What came out; `DataError` if the run is unfinished."""
        if not self.finished:
            raise DataError(
                f"{self.path} is unfinished: it has no {SUMMARY}. Go on with: tracegrad "
                f"resume {self.path}"
            )
        try:
            return Summary(**json.loads((self.path / SUMMARY).read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.path / SUMMARY} is broken: {error}.") from error

    def environment(self) -> dict[str, Any]:
        """What the run was made with."""
        try:
            return json.loads((self.path / ENVIRONMENT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / ENVIRONMENT} is broken: {error}.") from error

    def confusion(self) -> Float[np.ndarray, "o o"] | None:
        """Test sequences by class (row) and answer (column); None if targets are no classes."""
        if not (self.path / CONFUSION).is_file():
            return None
        try:
            return np.loadtxt(self.path / CONFUSION, delimiter=",", ndmin=2)
        except ValueError as error:
            raise DataError(f"{self.path / CONFUSION} is broken: {error}.") from error

    def record(self) -> Record | None:
        """The recorded sequence; None if nothing was recorded."""
        return from_npz(self.path / RECORD) if (self.path / RECORD).is_file() else None

    def network(self) -> Network:
        """The trained network; `DataError` if the weights are not those of the summary."""
        if _digest(self.path / WEIGHTS) != self.summary().weights:
            raise DataError(
                f"{self.path / WEIGHTS} is damaged: its SHA-256 is not that of {SUMMARY}."
            )
        return load_network(self.config(), self.path / WEIGHTS)


def open_run(path: Path) -> RunFolder:
    """An existing run folder; `UsageError` if there is none."""
    if not (path / CONFIG).is_file():
        raise UsageError(f"{path} is no run folder: it has no {CONFIG}. Give the folder of a run.")
    return RunFolder(path)


def runs_in(path: Path) -> list[RunFolder]:
    """The run folders in a folder, or itself if it is one; `UsageError` if there is none."""
    inside = sorted(config.parent for config in path.glob(f"*/{CONFIG}"))
    return [RunFolder(one) for one in inside] if inside else [open_run(path)]


def new_path(*names: str) -> Path:
    """`runs/<date-time>-<names>`; a number is added while that exists."""
    stem = "-".join((datetime.now().strftime("%Y%m%d-%H%M%S"), *names)).replace("_", "-")
    path, number = Path("runs") / stem, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stem}-{number}"
    return path


def make_folder(path: Path) -> None:
    """Make a folder that does not exist yet; `UsageError` otherwise."""
    try:
        make(path)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already. Give another folder with --out.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror}. Give another --out.") from error


def _lines(epoch: Epoch) -> tuple[bytes, bytes]:
    """Metrics and times of an epoch, each a line."""
    metrics = asdict(epoch)
    times = {"epoch": epoch.epoch} | {name: metrics.pop(name) for name in TIMED}
    return _line(metrics), _line(times)


def _line(content: dict[str, Any]) -> bytes:
    return (json.dumps(content) + "\n").encode()


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
