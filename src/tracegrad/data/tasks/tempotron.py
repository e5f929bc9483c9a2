"""Tempotron: how many random spike patterns with random labels can be told apart?"""

from dataclasses import dataclass

import numpy as np

from tracegrad.data.checks import at_least, whole_steps
from tracegrad.data.sequences import Sequences
from tracegrad.data.task import Task
from tracegrad.errors import UsageError


@dataclass(frozen=True)
class Tempotron:
    r"""Settings of the task.

    P = round(`load` `lines`) patterns; in each, every line spikes once, uniformly in `duration`
    (seconds), and the label is the pattern's number modulo `classes`. The patterns are learned by
    heart, so training and test set are the same, and what counts is up to which load (patterns a
    synapse) the accuracy is 100 %: about 3 for one tempotron with two classes, as we know it. The
    label counts at every step. Source: Guetig and Sompolinsky 2006.
    """

    lines: int = 100
    load: float = 1.0
    classes: int = 2
    duration: float = 0.5
    dt: float = 5e-3

    def __post_init__(self) -> None:
        """Refuse fewer patterns than classes."""
        at_least(1, lines=self.lines)
        at_least(2, classes=self.classes)
        whole_steps(self.dt, duration=self.duration)
        if self.patterns < self.classes:
            raise UsageError(
                f"load must give a pattern for each of {self.classes} classes, got {self.load} of "
                f"{self.lines} lines."
            )

    @property
    def patterns(self) -> int:
        """Number of patterns P."""
        return round(self.load * self.lines)


def tempotron(settings: Tempotron = Tempotron(), seed: int = 0) -> Task:
    """Frozen patterns, drawn with `seed`, to be learned by heart.

    task = tempotron(Tempotron(load=3.0))
    """
    steps, count = round(settings.duration / settings.dt), settings.patterns
    spike = np.random.default_rng(seed).integers(0, steps, (count, settings.lines))
    counts = (spike[:, None, :] == np.arange(steps)[:, None]).astype(np.uint8)
    labels = np.arange(count) % settings.classes
    source = Sequences(counts, np.full(count, steps), labels, settings.classes)
    return Task(
        name="tempotron",
        summary=f"{settings.classes} classes: {count} random patterns, learned by heart.",
        lines=settings.lines,
        outputs=settings.classes,
        dt=settings.dt,
        train=source,
        test=source,
        floors={"chance": float(np.log(settings.classes))},
    )
