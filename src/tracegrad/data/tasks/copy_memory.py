"""Copy memory: ten symbols, a long blank, and the symbols again."""

from dataclasses import dataclass

import numpy as np

from tracegrad.data.answer import answers
from tracegrad.data.checks import at_least
from tracegrad.data.events import microseconds
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task


@dataclass(frozen=True)
class CopyMemory:
    r"""Settings of the task: K = `length` symbols of A = `alphabet`, L = `delay` blanks.

    T = L + 2K steps: the symbols, L - 1 blanks, a cue, K blanks; one line a symbol, one for the
    blank and one for the cue. The target is the blank for L + K steps, then the symbols; every step
    counts 1/T. Without memory the best is to know when and guess what:

    $K\log A\,/\,(L+2K)$ nats   (1)

    and an accuracy per step of $(L+K+K/A)/T$. The source has L = 100 to 500. Source: Arjovsky et
    al. 2016, after Hochreiter and Schmidhuber 1997.
    """

    alphabet: int = 8
    length: int = 10
    delay: int = 20
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse a task without a choice, a symbol or a step for the cue."""
        at_least(2, alphabet=self.alphabet)
        at_least(1, length=self.length, delay=self.delay)
        microseconds(self.dt, "dt")

    @property
    def steps(self) -> int:
        """Steps T of a sequence."""
        return self.delay + 2 * self.length

    @property
    def floor(self) -> float:
        """Equation (1)."""
        return self.length * float(np.log(self.alphabet)) / self.steps

    def sample(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw the symbols; classes are 0 for the blank, then the symbols."""
        symbols = 1 + rng.integers(0, self.alphabet, (self.length, batch))
        shown = np.zeros((self.steps, batch), dtype=np.int64)
        shown[: self.length] = symbols
        shown[self.delay + self.length - 1] = self.alphabet + 1
        target = np.zeros((self.steps, batch), dtype=np.int64)
        target[-self.length :] = symbols
        return answers(np.eye(self.alphabet + 2)[shown], target, np.ones(target.shape, dtype=bool))


def copy_memory(
    settings: CopyMemory = CopyMemory(), count: int = 1000, test_count: int = 200
) -> Task:
    """A class at every step; `count` new sequences an epoch.

    task = copy_memory(CopyMemory(delay=100))
    """
    return Task(
        name="copy_memory",
        summary=f"{settings.alphabet + 1} classes a step: "
        f"repeat {settings.length} symbols after {settings.delay} blanks.",
        lines=settings.alphabet + 2,
        outputs=settings.alphabet + 1,
        dt=settings.dt,
        train=Sampler(settings.sample, count),
        test=Sampler(settings.sample, test_count, seed=1),
        floors={"no memory": settings.floor},
        stepwise=True,
    )
