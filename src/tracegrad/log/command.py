"""`tracegrad log RUN --to TOOL`: a run's metrics in another tool, while it runs or later."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from tracegrad.errors import UsageError
from tracegrad.log.mlflow import MLflow
from tracegrad.log.sink import AbstractSink, numbers
from tracegrad.log.tensorboard import TensorBoard
from tracegrad.log.wandb import WandB
from tracegrad.run.folder import RunFolder, open_run
from tracegrad.run.options import parse

SINKS = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
TICK = 1.0  # seconds between two looks at the folder


@dataclass(frozen=True)
class LogOptions:
    """Hand every epoch of a run to other tools, each once, until the run is finished."""

    run: tyro.conf.Positional[Path | None] = None
    """Folder of the run."""
    to: str = "tensorboard"
    """Tools, such as tensorboard,wandb,mlflow."""
    wait: bool = True
    """Wait for the epochs of a run that is not finished."""


def log(arguments: list[str]) -> None:
    """Follow until the run is finished, or interrupted; another call goes on from there."""
    options = parse(LogOptions(), "log", arguments)
    if options.run is None:
        raise UsageError("log needs a run folder: tracegrad log RUN --to tensorboard.")
    names = list(dict.fromkeys(options.to.split(",")))  # one named twice would get all twice
    if odd := [name for name in names if name not in SINKS]:
        raise UsageError(f"to must be of {', '.join(SINKS)}, got {odd[0]!r}.")
    run = open_run(options.run)
    run.config()
    sinks: list[AbstractSink] = [SINKS[name](run) for name in names]
    finished = False
    try:
        finished = follow(run, sinks, options.wait)
    finally:
        for name, sink in zip(names, sinks, strict=True):
            sink.close(finished)
            print(f"{name} has {sink.done} epochs of {run.path}.")


def follow(run: RunFolder, sinks: Sequence[AbstractSink], wait: bool) -> bool:
    """Give each sink the epochs that it has not, until the run is finished; whether it is.

    A run that is resumed from a checkpoint comes to the same epochs again, to the same bits: a
    sink has them already.
    """
    while True:
        finished, epochs = run.finished, run.epochs()  # in this order, or the last could be missed
        for sink in sinks:
            for epoch in epochs[sink.done :]:
                sink.add(epoch.epoch, numbers(epoch))
        if finished or not wait:
            return finished
        time.sleep(TICK)
