"""Mimic: predict what a fixed recurrent network says of random input."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import entr, softmax

from tracegrad.data.answer import answers
from tracegrad.data.checks import at_least
from tracegrad.data.events import microseconds
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task
from tracegrad.errors import UsageError

SETTLE, LONG = 100, 10_000  # steps left out and used where the floors are measured


class Teacher(NamedTuple):
    """Weights of the teacher: from input, from itself, to the logits."""

    input: Float64[np.ndarray, "n m"]
    recurrent: Float64[np.ndarray, "n n"]
    readout: Float64[np.ndarray, "o n"]


@dataclass(frozen=True)
class Mimic:
    r"""Settings of the task. The teacher is a rate network with fixed normal weights,

    $h^t=\tanh(W_xx^t+W_hh^{t-1}),\quad y^t=\mathrm{softmax}(W_oh^t)$   (1)

    with the deviations 1/sqrt(m), `gain`/sqrt(n) and `sharpness`/sqrt(n). Each of the m = `lines`
    lines is a fair coin at every step, and the label of a step is drawn from $y^t$. Floors of the
    cross-entropy, measured on the teacher: `constant`, the entropy of the mean of $y$; `teacher`,
    the mean entropy of $y$, which a student reaches that is as good as the teacher. Source:
    Marschall et al. 2020.
    """

    lines: int = 4
    units: int = 32
    outputs: int = 2
    steps: int = 200
    gain: float = 1.0
    sharpness: float = 4.0
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse a teacher that says nothing."""
        at_least(1, lines=self.lines, units=self.units, steps=self.steps)
        at_least(2, outputs=self.outputs)
        microseconds(self.dt, "dt")
        if self.gain < 0 or self.sharpness < 0:
            raise UsageError(
                f"gain and sharpness must not be negative, got {self.gain} and {self.sharpness}."
            )

    def teacher(self, seed: int) -> Teacher:
        """Draw the teacher's weights."""
        rng = np.random.default_rng(seed)
        n = self.units
        return Teacher(
            rng.standard_normal((n, self.lines)) / np.sqrt(self.lines),
            self.gain * rng.standard_normal((n, n)) / np.sqrt(n),
            self.sharpness * rng.standard_normal((self.outputs, n)) / np.sqrt(n),
        )

    def sample(self, teacher: Teacher, rng: np.random.Generator, batch: int) -> Batch:
        """Draw the input, then the labels from what the teacher says; every step counts 1/T."""
        xs = rng.integers(0, 2, (self.steps, batch, self.lines)) * 1.0
        y = says(teacher, xs)
        drawn = rng.random((*y.shape[:2], 1))
        # The last class is the rest, so that rounding of the sum cannot lead beyond it.
        labels = (drawn >= np.cumsum(y, axis=2)[..., :-1]).sum(axis=2)
        return answers(xs, labels, np.ones(labels.shape, dtype=bool))

    def floors(self, teacher: Teacher) -> dict[str, float]:
        """Both floors (nats), from a run of the teacher of ten thousand steps."""
        xs = np.random.default_rng(0).integers(0, 2, (SETTLE + LONG // 20, 20, self.lines)) * 1.0
        y = says(teacher, xs)[SETTLE:].reshape(-1, self.outputs)
        return {"constant": _entropy(y.mean(axis=0, keepdims=True)), "teacher": _entropy(y)}


def says(teacher: Teacher, xs: Float64[np.ndarray, "T B m"]) -> Float64[np.ndarray, "T B o"]:
    """Equation (1), from rest."""
    h = np.zeros((xs.shape[1], len(teacher.recurrent)))
    y = np.empty((*xs.shape[:2], len(teacher.readout)))
    for t, x in enumerate(xs):
        h = np.tanh(x @ teacher.input.T + h @ teacher.recurrent.T)
        y[t] = h @ teacher.readout.T
    return softmax(y, axis=2)


def mimic(
    settings: Mimic = Mimic(), seed: int = 0, count: int = 320, test_count: int = 320
) -> Task:
    """A class at every step; `seed` draws the teacher, `count` new sequences an epoch.

    task = mimic(Mimic(units=16))
    """
    teacher = settings.teacher(seed)

    def draw(rng: np.random.Generator, batch: int) -> Batch:
        return settings.sample(teacher, rng, batch)

    return Task(
        name="mimic",
        summary=f"{settings.outputs} classes a step: what does a fixed recurrent network say?",
        lines=settings.lines,
        outputs=settings.outputs,
        dt=settings.dt,
        train=Sampler(draw, count),
        test=Sampler(draw, test_count, seed=1),
        floors=settings.floors(teacher),
        stepwise=True,
    )


def _entropy(p: Float64[np.ndarray, "n o"]) -> float:
    """Mean entropy (nats)."""
    return float(entr(p).sum(axis=1).mean())
