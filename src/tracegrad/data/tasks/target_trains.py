"""Target trains: turn frozen noise spikes into given spike trains."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from tracegrad.data.answer import frozen
from tracegrad.data.checks import at_least, whole_steps, within
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task


@dataclass(frozen=True)
class TargetTrains:
    """Settings of the task; times in seconds, rates in hertz.

    Input: `lines` Poisson trains of `rate`, the same every time. Target: `outputs` Poisson trains
    of `target_rate`, drawn once, as 0 and 1 at every step with weight 1: for the loss `van_rossum`,
    which sees target and readout through one kernel. The source has 200 lines, 200 outputs, a
    picture as target and 1.89 s. Source: Zenke and Ganguli 2018; random trains replace the picture.
    """

    lines: int = 200
    outputs: int = 10
    duration: float = 0.5
    rate: float = 10.0
    target_rate: float = 8.0
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse settings on no grid of steps."""
        at_least(1, lines=self.lines, outputs=self.outputs)
        whole_steps(self.dt, duration=self.duration)
        within(0.0, 1.0 / self.dt, rate=self.rate, target_rate=self.target_rate)

    @property
    def steps(self) -> int:
        """Steps T of a sequence."""
        return round(self.duration / self.dt)

    def trains(self, seed: int) -> tuple[Bool[np.ndarray, "T m"], Bool[np.ndarray, "T o"]]:
        """Draw the input, then the target."""
        rng = np.random.default_rng(seed)
        xs = rng.random((self.steps, self.lines)) < self.rate * self.dt
        return xs, rng.random((self.steps, self.outputs)) < self.target_rate * self.dt


def target_trains(settings: TargetTrains = TargetTrains(), seed: int = 0, count: int = 1) -> Task:
    """Regression onto spike trains drawn with `seed`; `count` (equal) sequences an epoch.

    task = target_trains(TargetTrains(outputs=1))
    """
    xs, ys = settings.trains(seed)

    def draw(rng: np.random.Generator, batch: int) -> Batch:
        return frozen(xs, ys, batch)

    return Task(
        name="target_trains",
        summary=f"Spike trains: turn frozen noise into {settings.outputs} given trains.",
        lines=settings.lines,
        outputs=settings.outputs,
        dt=settings.dt,
        train=Sampler(draw, count),
        test=Sampler(draw, 1),
    )
