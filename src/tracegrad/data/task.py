"""The contract of a task: batches of input, target, weight and validity, time first."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from tracegrad.data.curriculum import Curriculum
from tracegrad.errors import UsageError


class Step(NamedTuple):
    """One time step of one sequence: input, class or values to reach, weight."""

    x: Float32[np.ndarray, "m"]
    y: Int32[np.ndarray, ""] | Float32[np.ndarray, "o"]
    weight: Float32[np.ndarray, ""]


class Batch(NamedTuple):
    """B sequences of T steps.

    `xs` is the input of m lines: spike counts as bytes, or any values. `ys` is an integer class for
    each step, or o target values. `weight` is what a step counts in the loss: for classes it sums
    to 1 over the labelled steps of a sequence; it is 0 where there is no label or only padding.
    `valid` is False on padding: steps after the end of a sequence, and whole sequences that fill up
    the last batch.
    """

    xs: Float32[np.ndarray, "T B m"] | UInt8[np.ndarray, "T B m"]
    ys: Int32[np.ndarray, "T B"] | Float32[np.ndarray, "T B o"]
    weight: Float32[np.ndarray, "T B"]
    valid: Bool[np.ndarray, "T B"]

    def padded(self, size: int) -> "Batch":
        """The same with empty sequences (all zero, invalid, weight 0) up to `size` of them."""
        missing = size - self.valid.shape[1]
        return Batch(*(np.pad(a, ((0, 0), (0, missing)) + ((0, 0),) * (a.ndim - 2)) for a in self))


class AbstractSource(ABC):
    """Where sequences come from; every batch of a source has the same shapes and dtypes."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of sequences in an epoch."""

    @abstractmethod
    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """One epoch in batches of `size`, each sequence once, the last batch padded.

        With `rng` the order (or the draw) is random, without it is the same every time.
        """


def joined(parts: Iterable[Batch]) -> Batch:
    """Sequences of one length from several batches, side by side."""
    return Batch(*(np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)))


def batch_sizes(total: int, size: int) -> list[int]:
    """How many sequences each batch of an epoch holds: full batches, then the rest."""
    if size < 1:
        raise UsageError(f"The batch size must be at least 1, got {size}.")
    full, rest = divmod(total, size)
    return [size] * full + [rest] * (rest > 0)


@dataclass(frozen=True)
class Task:
    """What a network shall learn: `lines` inputs, `outputs`, steps of `dt` seconds, two sources.

    `summary` is one line for people. `floors` are losses that a network cannot get below without
    something, by what it would have to do without or know. With `stepwise` every labelled step is
    an answer of its own, otherwise a sequence is one answer. A task with a `curriculum` grows
    harder when the trainer asks it to. Checked when built, on the first sequence of each source.

        task = digits()
        for xs, ys, weight, valid in task.train.batches(32, np.random.default_rng(0)): ...
    """

    name: str
    summary: str
    lines: int
    outputs: int
    dt: float
    train: AbstractSource
    test: AbstractSource
    floors: Mapping[str, float] = field(default_factory=dict, hash=False)
    stepwise: bool = False
    curriculum: Curriculum["Task"] | None = None
    shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        """Both sources must deliver what the task announces, and a map has as many lines."""
        if self.shape is not None and prod(self.shape) != self.lines:
            raise UsageError(f"Task {self.name} has {self.lines} lines, its map is {self.shape}.")
        for example in (_first(self.train), _first(self.test)):
            if example.xs.shape[2] != self.lines:
                raise UsageError(
                    f"Task {self.name} has {self.lines} lines, its source delivers "
                    f"{example.xs.shape[2]}."
                )
            if example.ys.ndim == 3 and example.ys.shape[2] != self.outputs:
                raise UsageError(
                    f"Task {self.name} has {self.outputs} outputs, its source delivers "
                    f"{example.ys.shape[2]}."
                )

    def sample(self, seed: int) -> Batch:
        """One training sequence (B = 1), the same for the same seed."""
        return next(self.train.batches(1, np.random.default_rng(seed)))

    def stream(self, seed: int) -> Iterator[Step]:
        """Steps without end: training sequences one after another, without their padding.

        for x, y, weight in itertools.islice(task.stream(seed=0), 1000): ...
        """
        rng = np.random.default_rng(seed)
        while True:
            for xs, ys, weight, valid in self.train.batches(1, rng):
                for t in np.flatnonzero(valid[:, 0]):
                    yield Step(
                        xs[t, 0].astype(np.float32), np.asarray(ys[t, 0]), np.asarray(weight[t, 0])
                    )

    @property
    def level(self) -> int | None:
        """Where the task stands in its curriculum, None where it has none."""
        return None if self.curriculum is None else self.curriculum.level

    @property
    def steps(self) -> int:
        """Time steps T of every batch."""
        return _first(self.test).xs.shape[0]

    @property
    def classifies(self) -> bool:
        """Whether a target is a class (integer `ys`) rather than values to reach (float `ys`)."""
        return np.issubdtype(_first(self.test).ys.dtype, np.integer)


def _first(source: AbstractSource) -> Batch:
    return next(source.batches(1, None))
