"""Copy pattern: hold a sequence of random bits and give it back after a stop signal."""

from dataclasses import dataclass

import numpy as np

from tracegrad.data.answer import values
from tracegrad.data.checks import at_least
from tracegrad.data.events import microseconds
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task


@dataclass(frozen=True)
class CopyPattern:
    r"""Settings of the task; the defaults are those of the source's loader.

    `length` steps of `bits` fair bits, `pad` silent steps, one stop signal on a line of its own at
    step P + pad, then `length` silent steps in which the bits are to come back in order, as values
    0 and 1: T = 2P + pad + 1. Without memory the best answer is 1/2 everywhere, with the loss
    $\frac12\sum_k(y_k-y^*_k)^2$ = bits/8. Source: Zucchet et al. 2023.
    """

    bits: int = 7
    length: int = 10
    pad: int = 7
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse an empty pattern."""
        at_least(1, bits=self.bits, length=self.length)
        at_least(0, pad=self.pad)
        microseconds(self.dt, "dt")

    @property
    def steps(self) -> int:
        """Steps T of a sequence."""
        return 2 * self.length + self.pad + 1

    def sample(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw the bits; the answer's steps have weight 1/length each."""
        pattern = rng.integers(0, 2, (self.length, batch, self.bits))
        xs = np.zeros((self.steps, batch, self.bits + 1))
        xs[: self.length, :, :-1] = pattern
        xs[self.length + self.pad, :, -1] = 1.0
        ys = np.zeros((self.steps, batch, self.bits))
        ys[-self.length :] = pattern
        asked = np.zeros((self.steps, batch), dtype=bool)
        asked[-self.length :] = True
        return values(xs, ys, asked)


def copy_pattern(
    settings: CopyPattern = CopyPattern(), count: int = 1000, test_count: int = 200
) -> Task:
    """Regression onto the bits of the pattern; `count` new patterns an epoch.

    task = copy_pattern(CopyPattern(length=20))
    """
    return Task(
        name="copy_pattern",
        summary="Regression: give a pattern of random bits back after a stop signal.",
        lines=settings.bits + 1,
        outputs=settings.bits,
        dt=settings.dt,
        train=Sampler(settings.sample, count),
        test=Sampler(settings.sample, test_count, seed=1),
        floors={"no memory": settings.bits / 8},
    )
