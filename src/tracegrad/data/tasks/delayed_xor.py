"""Delayed XOR: two cues with a pause between them, asked whether they differed."""

from dataclasses import dataclass

import numpy as np

from tracegrad.data.answer import answer_at_end
from tracegrad.data.checks import at_least, whole_steps, within
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task


@dataclass(frozen=True)
class DelayedXor:
    r"""Settings of the task.

    Two groups of `group` lines. Cue A in [0, c) and cue B in [c+d, 2c+d) are each given by which of
    the two groups spikes, with `rate`; all lines are silent else. In [3c+d, 4c+d) the answer
    counts: $a\oplus b$. c is `cue` and d is `delay`, in seconds; `rate` in hertz.

    It needs memory over the delay and a nonlinearity: a linear readout of a feed-forward layer
    that forgets stays at chance, log 2 = 0.693 nats and 50 %. Source: the temporal XOR of the
    field, in a form of our own.
    """

    group: int = 10
    cue: float = 50e-3
    delay: float = 0.1
    rate: float = 100.0
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse settings on no grid of steps."""
        at_least(1, group=self.group)
        whole_steps(self.dt, cue=self.cue)
        if self.delay:
            whole_steps(self.dt, delay=self.delay)
        within(0.0, 1.0 / self.dt, rate=self.rate)

    @property
    def steps(self) -> int:
        """Steps T of a sequence."""
        return round((4 * self.cue + self.delay) / self.dt)

    def sample(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw sequences: both cues of each, then T m uniforms; O(B T m)."""
        cues = rng.integers(0, 2, (batch, 2))
        length, second = round(self.cue / self.dt), round((self.cue + self.delay) / self.dt)
        chance = np.zeros((self.steps, batch, 2, self.group))
        for start, side in ((0, cues[:, 0]), (second, cues[:, 1])):
            chance[start : start + length, np.arange(batch), side] = self.rate * self.dt
        chance = chance.reshape(self.steps, batch, 2 * self.group)
        return answer_at_end(rng.random(chance.shape) < chance, cues[:, 0] ^ cues[:, 1], length)


def delayed_xor(
    settings: DelayedXor = DelayedXor(), count: int = 640, test_count: int = 256
) -> Task:
    """Two classes; `count` new sequences an epoch; its name bears the delay in milliseconds.

    task = delayed_xor(DelayedXor(delay=0.0))
    """
    return Task(
        name=f"delayed_xor_{1e3 * settings.delay:g}",
        summary=f"2 classes: were two cues {1e3 * settings.delay:g} ms apart different?",
        lines=2 * settings.group,
        outputs=2,
        dt=settings.dt,
        train=Sampler(settings.sample, count),
        test=Sampler(settings.sample, test_count, seed=1),
        floors={"chance": float(np.log(2.0))},
    )
