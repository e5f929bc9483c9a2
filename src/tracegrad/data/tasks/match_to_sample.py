"""Delayed match to sample: is the direction the same as the one before the delay?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from tracegrad.data.answer import answer_at_end
from tracegrad.data.checks import at_least, whole_steps, within
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task


@dataclass(frozen=True)
class MatchToSample:
    r"""Settings of the task.

    A sequence is `fixation`, the sample `shown`, `delay`, and the test `shown` (seconds). `lines`
    Poisson trains, the preferred directions of which go round the circle, with the rate (hertz) for
    a direction $\phi$

    $r_i=r_{bg}+r_{max}\,e^{\kappa(\cos(\phi-\phi_i)-1)}$   (1)

    while a stimulus is on and the background $r_{bg}$ else. The sample is one of `directions`; the
    test is the same (label 1) or any other (label 0), each with probability 1/2. The label counts
    throughout the test. Chance: log 2 nats. Source: the delayed match-to-sample of the BrainTrace
    examples, whose fixation lasts 10 to 500 ms.
    """

    directions: int = 8
    lines: int = 100
    kappa: float = 3.0
    rate: float = 100.0
    background: float = 1.0
    fixation: float = 10e-3
    shown: float = 0.5
    delay: float = 1.0
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse settings without another direction or on no grid of steps."""
        at_least(2, directions=self.directions)
        at_least(1, lines=self.lines)
        whole_steps(self.dt, fixation=self.fixation, shown=self.shown, delay=self.delay)
        within(0.0, 1.0 / self.dt, rate=self.rate + self.background, background=self.background)

    @property
    def steps(self) -> int:
        """Steps T of a sequence."""
        return round((self.fixation + 2 * self.shown + self.delay) / self.dt)

    def rates(self, direction: Int64[np.ndarray, "B"]) -> Float64[np.ndarray, "B m"]:
        """Equation (1)."""
        preferred = 2 * np.pi * np.arange(self.lines) / self.lines
        angle = 2 * np.pi * direction[:, None] / self.directions - preferred
        return self.background + self.rate * np.exp(self.kappa * (np.cos(angle) - 1.0))

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw samples, matches and other directions, then T m uniforms of each."""
        first = rng.integers(0, self.directions, batch)
        match = rng.integers(0, 2, batch)
        turn = rng.integers(1, self.directions, batch)
        second = np.where(match == 1, first, (first + turn) % self.directions)
        length, start = (round(d / self.dt) for d in (self.shown, self.fixation))
        rates = np.full((self.steps, batch, self.lines), self.background)
        rates[start : start + length] = self.rates(first)
        rates[-length:] = self.rates(second)
        return answer_at_end(rng.random(rates.shape) < rates * self.dt, match, length)


def match_to_sample(
    settings: MatchToSample = MatchToSample(), count: int = 320, test_count: int = 128
) -> Task:
    """Two classes, match or not; `count` new sequences an epoch.

    task = match_to_sample(MatchToSample(delay=0.2, dt=5e-3))
    """
    return Task(
        name="match_to_sample",
        summary=f"2 classes: the direction of {settings.delay:g} s before, or another?",
        lines=settings.lines,
        outputs=2,
        dt=settings.dt,
        train=Sampler(settings.draw, count),
        test=Sampler(settings.draw, test_count, seed=1),
        floors={"chance": float(np.log(2.0))},
    )
