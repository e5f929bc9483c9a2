"""Outcome: what became of a cell, and the training that makes it."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tracegrad.errors import DataError, UsageError
from tracegrad.run.train import Epoch, Result, Watch, train
from tracegrad.study.cell import Cell

DONE, REFUSED, FAILED = "done", "refused", "failed"


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: done with metrics and curves, refused by the rule, or failed.

    `sentence` says why it was refused or failed. `seconds` is the wall time of the whole cell.
    """

    status: str
    sentence: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    curves: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def train_cell(cell: Cell, say: Callable[[Epoch], None], environment: dict[str, Any]) -> Outcome:
    """Train as `tracegrad train` does, in memory; whatever goes wrong becomes an outcome."""
    began = time.perf_counter()
    made = environment | {"load": os.getloadavg()[0]}
    try:
        status, sentence, result, batches = _trained(cell, say)
    except Exception as error:  # a study goes on; the sentence is recorded
        status, sentence, result, batches = FAILED, _sentence(error), None, 0
    return Outcome(
        status,
        sentence,
        {} if result is None else _metrics(result, batches),
        [] if result is None else [_curve(epoch) for epoch in result.epochs],
        made,
        time.perf_counter() - began,
    )


def _trained(cell: Cell, say: Callable[[Epoch], None]) -> tuple[str, str, Result | None, int]:
    task = cell.task()
    try:
        learner = cell.learner(task)
    except DataError:
        raise
    except UsageError as error:
        return REFUSED, str(error), None, 0
    result = train(learner, cell.config, task, Watch(epoch=say))
    return DONE, "", result, -(-task.train.size // cell.config.learning.batch)


def _curve(epoch: Epoch) -> dict[str, Any]:
    """An epoch without the quantiles of weights and rates, which would make most of a result."""
    return {n: v for n, v in asdict(epoch).items() if n not in ("weights", "rates")}


def _metrics(result: Result, batches: int) -> dict[str, Any]:
    """The last epoch and the cost; `iterations` are batches of an epoch."""
    return {
        "accuracy": result.last.test_accuracy,
        "loss": result.last.test_loss,
        "train_accuracy": result.last.train_accuracy,
        "train_loss": result.last.train_loss,
        "rate": result.last.rate,
        "level": result.last.level,
        "microseconds_per_step": result.microseconds_per_step,
        "memory_bytes": result.memory_bytes,
        "iterations": batches,
        "floors": dict(result.floors),
    }


def _sentence(error: Exception) -> str:
    """The first line of an error, with its kind where it is none of ours."""
    text = (str(error).strip().splitlines() or [""])[0]
    return text if isinstance(error, UsageError) else f"{type(error).__name__}: {text}"
