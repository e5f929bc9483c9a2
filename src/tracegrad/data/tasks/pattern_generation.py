"""Pattern generation: turn frozen noise spikes into a sum of sines."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from tracegrad.data.answer import frozen
from tracegrad.data.events import microseconds
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task
from tracegrad.errors import UsageError


@dataclass(frozen=True)
class Pattern:
    r"""Settings of the task; the defaults are those of the source.

    Input: `lines` Poisson trains of `rate` hertz, none at step 0. Target: with
    $s^t = \sum_i a_i \sin(\phi_i + 2\pi c_i\, t/(T-1))$, whole cycle counts
    $c_i = \lfloor T/P_i \rfloor$, $a_i \sim U(0.5, 2)$ and $\phi_i \sim U(0, 2\pi)$:

    $y^t = (s^t - s^0) / \max_t |s^t - s^0|$   (1)

    `periods` P_i in steps, `dt` in seconds. Source: Bellec et al. 2020, as in NEST's test suite.
    """

    lines: int = 100
    steps: int = 1000
    dt: float = 1e-3
    rate: float = 50.0
    periods: tuple[int, ...] = (1000, 500, 333, 200)

    def __post_init__(self) -> None:
        """Refuse settings that give no pattern."""
        microseconds(self.dt, "dt")
        if self.lines < 1 or self.steps < 2:
            raise UsageError(
                f"A pattern needs a line and two steps, got lines {self.lines}, steps {self.steps}."
            )
        if not 0 <= self.rate * self.dt <= 1:
            raise UsageError(f"rate must lie in [0, 1/dt] = [0, {1 / self.dt}], got {self.rate}.")
        if not self.periods or not all(1 <= p <= self.steps for p in self.periods):
            raise UsageError(f"periods must lie in [1, steps], got {self.periods} of {self.steps}.")

    def spikes(self, rng: np.random.RandomState) -> Bool[np.ndarray, "T m"]:
        """Draw the input: T m uniform numbers, row by row."""
        spikes = rng.uniform(size=(self.steps, self.lines)) < self.rate * self.dt
        spikes[0] = False
        return spikes

    def target(self, rng: np.random.RandomState) -> Float64[np.ndarray, "T"]:
        """Draw the target, equation (1): all amplitudes, then all phases."""
        amplitudes = rng.uniform(0.5, 2.0, len(self.periods))
        phases = rng.uniform(0.0, 2 * np.pi, len(self.periods))
        total = np.zeros(self.steps)
        for period, amplitude, phase in zip(self.periods, amplitudes, phases, strict=True):
            turn = np.linspace(0.0, 2 * np.pi * (self.steps // period), self.steps)
            total += amplitude * np.sin(turn + phase)
        total -= total[0]
        return total / np.abs(total).max()

    def sample(self, seed: int, batch: int) -> Batch:
        """The one pattern of `seed`, `batch` times; every step has weight 1."""
        rng = np.random.RandomState(seed)
        return frozen(self.spikes(rng), self.target(rng)[:, None], batch)


def pattern_generation(
    pattern: Pattern = Pattern(),
    seed: int = 1,
    count: int = 1,
) -> Task:
    r"""Regression onto one frozen pattern, the same input and target every time.

    The loss of the source is $\frac12\sum_t w^t (\hat y^t - y^t)^2$ with all weights 1. `seed`
    draws input, then target; `count` is the number of (equal) sequences of a training epoch.

        task = pattern_generation(Pattern(steps=200, periods=(200, 100)))
    """

    def draw(rng: np.random.Generator, batch: int) -> Batch:
        return pattern.sample(seed, batch)

    return Task(
        name="pattern_generation",
        summary="Regression: turn frozen noise spikes into a sum of sines.",
        lines=pattern.lines,
        outputs=1,
        dt=pattern.dt,
        train=Sampler(draw, count),
        test=Sampler(draw, 1),
    )
