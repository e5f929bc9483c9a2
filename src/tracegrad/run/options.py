"""Options: the command line turned into typed settings; a bad option is one sentence."""

import re
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TypeVar

import tyro

from tracegrad.data import TASKS
from tracegrad.errors import UsageError
from tracegrad.run.config import Config
from tracegrad.run.config_file import load_config
from tracegrad.run.defaults import defaults
from tracegrad.run.processes import Processes
from tracegrad.run.storage import Format

T = TypeVar("T")


@dataclass(frozen=True)
class TrainOptions:
    """Train a network on a task and leave a run folder."""

    config: Path | None = None
    """Read settings from this TOML file; options given here override it."""
    out: Path | None = None
    """Folder of the run; None: runs/<date-time>-<task>-<rule>."""
    pictures: bool = True
    """Record a sequence and draw pictures into the run folder."""
    checkpoint_every: int | None = None
    """Batches between two checkpoints, of which there is one after every epoch besides; None: one a
    minute."""
    checkpoint_format: Format = "safetensors"
    """Where a checkpoint has its arrays: safetensors: in its one file; orbax: in a folder beside
    it, each process and device its part (needs the extra orbax)."""
    mesh: str | None = None
    """Devices for batch and neurons, such as data=2,neuron=4; None: one device."""
    together: Processes = Processes()
    settings: Config = Config()

    def __post_init__(self) -> None:
        """Refuse what counts no batches."""
        _counts_batches(self.checkpoint_every)


@dataclass(frozen=True)
class ResumeOptions:
    """Go on with a run that was cut short, to the same bits as one that was not."""

    pictures: bool = True
    """Draw pictures into the run folder."""
    checkpoint_every: int | None = None
    """Batches between two checkpoints, of which there is one after every epoch besides; None: one a
    minute."""
    checkpoint_format: Format | None = None
    """Where a checkpoint has its arrays, safetensors or orbax; None: as those that there are."""
    mesh: str | None = None
    """Devices for batch and neurons, such as data=2,neuron=4, which may be others than those it
    began on; None: one device."""
    together: Processes = Processes()

    def __post_init__(self) -> None:
        """Refuse what counts no batches."""
        _counts_batches(self.checkpoint_every)


@dataclass(frozen=True)
class DemoOptions:
    """Learn to read digits online: block_diagonal and e-prop beside BPTT, settings equal."""

    seed: int = 0
    """Seed of the weights and of the order of the data."""
    epochs: int = defaults("digits").learning.epochs
    """Passes over the training set."""
    out: Path | None = None
    """Folder of the demo; None: runs/<date-time>-demo."""


def _counts_batches(every: int | None) -> None:
    if every is not None and every < 1:
        raise UsageError(f"checkpoint_every must be at least 1 batch, got {every}.")


def parse(default: T, command: str, arguments: list[str]) -> T:
    """Options over their defaults; `UsageError` with one sentence if they are wrong."""
    complaint = StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(
                type(default),
                prog=f"tracegrad {command}",
                default=default,
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as leave:
        if not leave.code:
            raise  # --help
        sentence = f"{_sentence(complaint.getvalue())} See: tracegrad {command} --help"
        raise UsageError(sentence) from None


def parse_train(arguments: list[str]) -> TrainOptions:
    """Options of `tracegrad train [TASK] ...` over the defaults of task and rule, or of a file."""
    named = bool(arguments) and not arguments[0].startswith("-")
    task, rest = (arguments[0], arguments[1:]) if named else (None, arguments)
    start = defaults(task_name(task) if task else "digits")
    first = parse(TrainOptions(settings=start), "train TASK", rest)
    if first.config is not None:
        base = load_config(first.config)
        if task and task_name(task) != base.task:
            raise UsageError(f"{first.config} is for {base.task}, got TASK {task}. Leave TASK out.")
    elif task:
        chosen = first.settings
        network = chosen.network
        base = defaults(start.task, chosen.learning.rule, network.neuron, network.readout)
    else:
        raise UsageError(f"train needs a task: tracegrad train TASK, with {task_names()}.")
    return parse(TrainOptions(settings=base), "train TASK", rest)


def task_name(name: str) -> str:
    """The task that the command line names with hyphens or underscores."""
    task = name.replace("-", "_")
    if task not in TASKS:
        raise UsageError(f"There is no task {name}. There are {task_names()}.")
    return task


def task_names() -> str:
    """All tasks, as the command line names them."""
    return ", ".join(name.replace("_", "-") for name in TASKS)


def _sentence(box: str) -> str:
    """What tyro complains of, as one line, from the box it draws.

    The box has parts with rules between them. A terminal with line drawing shows the title in the
    frame and the complaint in the first part, one without shows the title as a first part.
    """
    framed = "│" in box
    parts: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if text and not set(text) - set("─-"):
            parts.append([])
        elif text and text[0] not in "╭╰":
            parts[-1].append(text)
    whole = " ".join(parts[0] if framed or len(parts) == 1 else parts[1])
    # Settings that refuse themselves already name the key.
    whole = re.sub(r"^Error parsing (settings|[a-z.]*(network|learning)): ", "", whole)
    return whole if whole.endswith(".") else f"{whole}."
