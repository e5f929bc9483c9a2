"""A tiny task and settings that learn it, shared by the tests of `run` and of `report`."""

from collections.abc import Iterator

import jax
import numpy as np
import optax
import pytest

from tracegrad.data import Sequences, Task
from tracegrad.run.config import Config, LearningConfig, NetworkConfig

STEPS, LINES = 9, 6
TINY = Config(
    "digits",
    network=NetworkConfig(hidden=(8,), input_gain=4.0, tau_readout=5e-3),
    learning=LearningConfig(
        learning_rate=2e-2, cosine=False, update_every=4, batch=8, epochs=6, rule="block_diagonal"
    ),
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
    return Task("digits", "two classes", LINES, 2, 1e-3, sequences(30, 0), sequences(13, 1))


@pytest.fixture(scope="session", autouse=True)
def lenient_adam() -> Iterator[None]:
    """Let optax alone mix types: its Adam raises a real to the power of a whole number."""
    strict = optax.adam

    def adam(*arguments: object) -> optax.GradientTransformation:
        made = strict(*arguments)

        def update(*arguments: object) -> tuple:
            with jax.numpy_dtype_promotion("standard"):
                return made.update(*arguments)

        return optax.GradientTransformation(made.init, update)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optax, "adam", adam)
        yield
