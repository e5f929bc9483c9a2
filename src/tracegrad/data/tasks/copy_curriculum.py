"""Copy curriculum: give bits back, one bit more as soon as it is learned."""

from dataclasses import dataclass

import numpy as np

from tracegrad.data.answer import answers
from tracegrad.data.checks import at_least
from tracegrad.data.curriculum import Curriculum
from tracegrad.data.events import microseconds
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task, joined

RANGE = 5  # lengths are drawn from so many below the level


@dataclass(frozen=True)
class CopyCurriculum:
    r"""Settings of the task.

    At level L a pattern has n ~ U{max(L-5, 1) ... L} fair bits: one bit a step (a line for 0, a
    line for 1), one step with the go signal, then n steps in which the bits come back in order; the
    rest up to T = 2 `longest` + 1 is padding. The level starts at `start` and grows by 1 when the
    mean loss of an epoch is below `threshold` bits a character. A guess has 1 bit, log 2 nats.
    Source: the curriculum of Menick et al. 2021, as we know it: 0.15 bits, one character more.
    """

    start: int = 1
    longest: int = 20
    threshold: float = 0.15
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse an empty pattern."""
        at_least(1, start=self.start, longest=self.longest)
        microseconds(self.dt, "dt")

    @property
    def steps(self) -> int:
        """Steps T of a sequence, padding included."""
        return 2 * self.longest + 1

    def sample(self, rng: np.random.Generator, level: int) -> Batch:
        """Draw one sequence (B = 1) of a level: its length, then its bits."""
        length = int(rng.integers(max(level - RANGE, 1), level + 1))
        bits = rng.integers(0, 2, length)
        xs = np.zeros((self.steps, 1, 3))
        xs[np.arange(length), 0, bits] = 1.0
        xs[length, 0, 2] = 1.0
        end = 2 * length + 1
        ys = np.zeros((self.steps, 1), dtype=np.int64)
        ys[length + 1 : end, 0] = bits
        asked = np.zeros((self.steps, 1), dtype=bool)
        asked[length + 1 : end] = True
        return answers(xs, ys, asked)._replace(valid=np.arange(self.steps)[:, None] < end)


def copy_curriculum(
    settings: CopyCurriculum = CopyCurriculum(), count: int = 500, test_count: int = 100
) -> Task:
    """Two classes a step, at the level where the curriculum starts; it grows while it is trained.

    task = copy_curriculum(CopyCurriculum(longest=10))
    """

    def make(level: int) -> Task:
        def draw(rng: np.random.Generator, batch: int) -> Batch:
            return joined(settings.sample(rng, level) for _ in range(batch))

        return Task(
            name="copy_curriculum",
            summary="2 classes a step: give bits back, one more as soon as that is learned.",
            lines=3,
            outputs=2,
            dt=settings.dt,
            train=Sampler(draw, count),
            test=Sampler(draw, test_count, seed=1),
            floors={"no memory": float(np.log(2.0))},
            stepwise=True,
            curriculum=Curriculum(level, settings.longest, settings.threshold, make),
        )

    return make(settings.start)
