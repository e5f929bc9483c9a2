"""Workers that stand in for training: quick, with a result that can be recomputed."""

import time
from multiprocessing.connection import Connection

import numpy as np

from tracegrad.study.cell import Cell
from tracegrad.study.outcome import DONE, FAILED, REFUSED, Outcome

EPOCHS, SECONDS = 3, 0.3
ENVIRONMENT = {
    "python": "3.11",
    "platform": "test",
    "cores": 2,
    "float": "float32",
    "commit": "abc",
    "versions": {"jax": "1"},
    "load": 0.5,
}


def outcome(cell: Cell) -> Outcome:
    """Numbers from the digest; seed 3 fails, superspike is refused."""
    if cell.config.learning.rule == "superspike":
        return Outcome(REFUSED, "superspike will not.", environment=ENVIRONMENT)
    if cell.config.seed == 3:
        return Outcome(FAILED, "seed 3 has gone wrong.", environment=ENVIRONMENT)
    rng = np.random.default_rng(int(cell.digest[:12], 16))
    curves = [
        {
            "epoch": epoch + 1,
            "test_accuracy": float(rng.random()),
            "test_loss": float(rng.random()),
            "train_loss": float(rng.random()),
        }
        for epoch in range(EPOCHS)
    ]
    metrics = {
        "accuracy": curves[-1]["test_accuracy"],
        "loss": curves[-1]["test_loss"],
        "rate": float(rng.random()),
        "microseconds_per_step": float(100 * rng.random()),
        "memory_bytes": int(rng.integers(1000, 100000)),
        "iterations": 10,
        "floors": {"chance": 0.5},
    }
    return Outcome(DONE, "", metrics, curves, ENVIRONMENT, 1.5)


def work(pipe: Connection) -> None:
    """What `tracegrad.study.worker.work` does, without training or a watch."""
    while True:
        try:
            cell = pipe.recv()
        except EOFError:
            return
        time.sleep(SECONDS)
        pipe.send(outcome(cell))


def slow(pipe: Connection) -> None:
    """A worker that never comes to an end."""
    pipe.recv()
    time.sleep(600)
