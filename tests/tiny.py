"""A tiny task and its settings, for tests and for the processes they start."""

import numpy as np

from tracegrad.data import Sequences, Task
from tracegrad.run.config import Config, LearningConfig, NetworkConfig
from tracegrad.run.position import Position
from tracegrad.run.tally import Tally

STEPS, LINES = 9, 6
TINY = Config(
    "digits",
    network=NetworkConfig(hidden=(8,), input_gain=4.0, tau_readout=5e-3),
    learning=LearningConfig(
        learning_rate=2e-2, cosine=False, update_every=4, batch=8, epochs=6, rule="block_diagonal"
    ),
)

POSITION = Position(
    config="c",
    data="d",
    made={"jax": "1"},
    number=3,
    epochs=["{}"],
    order=np.random.default_rng(0).bit_generator.state,
    level=None,
    numbers={"learning_rate": 1e-3},
    tally=Tally(2, 1, 16, 3.5, 0.1, [[0.2, 0.5]], [0.25]),
    elapsed=0.5,
    seconds=1.5,
)


def sequences(count: int, seed: int) -> Sequences:
    """Two classes told apart by which half of the lines is active; lengths 6 to 9 of 9 steps."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    lengths = rng.integers(6, STEPS + 1, count)
    chance = np.where(np.arange(LINES) // 3 == labels[:, None], 0.7, 0.1)[:, None]
    counts = rng.random((count, STEPS, LINES)) < chance
    counts &= (np.arange(STEPS) < lengths[:, None])[:, :, None]
    return Sequences(counts.astype(np.uint8), lengths, labels, 2)


def make_tiny() -> Task:
    """The task."""
    return Task("digits", "two classes", LINES, 2, 1e-3, sequences(30, 0), sequences(13, 1))
