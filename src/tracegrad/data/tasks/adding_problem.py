"""Adding problem: add the two of many numbers that were marked."""

from dataclasses import dataclass

import numpy as np

from tracegrad.data.answer import values
from tracegrad.data.events import microseconds
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task
from tracegrad.errors import UsageError

GUESS = 1 / 12  # half the variance 1/6 of the sum of two numbers from U(0, 1)


@dataclass(frozen=True)
class Adding:
    r"""Settings of the task.

    Line 0 has a number from U(0, 1) at every step, line 1 a marker of 1 at one step of the first
    and one of the second half. At the last step the sum of the marked numbers counts. Always 1 has
    the squared error 1/6, so the loss $\frac12(y-y^*)^2$ = 1/12. The source has `steps` = 100 to
    750. Source: Hochreiter and Schmidhuber 1997, in the form of Le et al. 2015.
    """

    steps: int = 50
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse sequences without two halves."""
        microseconds(self.dt, "dt")
        if self.steps < 2:
            raise UsageError(f"steps must be at least 2, one for each marker, got {self.steps}.")

    def sample(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw the numbers, then the markers of the first and of the second half."""
        half, every = self.steps // 2, np.arange(batch)
        xs = np.zeros((self.steps, batch, 2))
        xs[:, :, 0] = rng.random((self.steps, batch))
        marked = rng.integers(0, half, batch), rng.integers(half, self.steps, batch)
        total = sum(xs[step, every, 0] for step in marked)
        for step in marked:
            xs[step, every, 1] = 1.0
        ys = np.tile(total, (self.steps, 1))[:, :, None]
        asked = np.zeros((self.steps, batch), dtype=bool)
        asked[-1] = True
        return values(xs, ys, asked)


def adding_problem(settings: Adding = Adding(), count: int = 1000, test_count: int = 200) -> Task:
    """Regression onto the sum, at the last step; `count` new sequences an epoch.

    task = adding_problem(Adding(steps=100))
    """
    return Task(
        name="adding_problem",
        summary=f"Regression: add the two marked ones of {settings.steps} numbers.",
        lines=2,
        outputs=1,
        dt=settings.dt,
        train=Sampler(settings.sample, count),
        test=Sampler(settings.sample, test_count, seed=1),
        floors={"always 1": GUESS},
    )
