"""Yin-Yang: which part of the symbol a point lies in, as spike times."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from tracegrad.data.checks import at_least, whole_steps
from tracegrad.data.sequences import Sequences
from tracegrad.data.task import Task
from tracegrad.errors import UsageError

SMALL, BIG = 0.1, 0.5  # radii of the dots and of the symbol
DOT = 2


@dataclass(frozen=True)
class YinYang:
    r"""Settings of the code: value v in [0, 1] is a spike at `first` + v (`last` - `first`).

    A point (x, y) of the disc of radius 0.5 has four values, x, y, 1-x, 1-y, and a fifth line
    spikes at `bias`. With the distances $d_l,d_r$ to (0.25, 0.5) and (0.75, 0.5) it is in a dot
    where $d_l<0.1$ or $d_r<0.1$, else yin where

    $d_r\le 0.1\ \lor\ 0.1<d_l\le 0.25\ \lor\ (y>0.5\land d_r>0.25)$   (1)

    else yang. Classes are drawn first, uniformly, then points until one is of that class. The
    published labels have a quirk, kept here: they are yin 0, yang 1, dot 2 by name, but the code
    returns 1 where (1) holds and 0 where it does not. Seeds 42, 41 and 40 give the published
    training, validation and test points.

    The label counts from `last` to `duration`. Times in seconds. Known accuracies of a
    4-30-3 network on the plain values: 97.6 %; hidden weights frozen 85.5 %; linear 63.8 %.
    Source: Kriener et al. 2022.
    """

    first: float = 0.0
    last: float = 30e-3
    bias: float = 0.0
    duration: float = 45e-3
    dt: float = 0.5e-3

    def __post_init__(self) -> None:
        """Refuse times out of order or on no grid."""
        whole_steps(self.dt, last=self.last, duration=self.duration)
        if not 0 <= self.first < self.last < self.duration or not 0 <= self.bias < self.duration:
            raise UsageError(
                "first, last and duration must increase from 0, bias below duration, got "
                f"{self.first}, {self.last}, {self.duration} and {self.bias}."
            )

    def encode(
        self, values: Float64[np.ndarray, "N 4"], labels: Int64[np.ndarray, "N"]
    ) -> Sequences:
        """Points as spikes on five lines."""
        steps = round(self.duration / self.dt)
        times = self.first + values * (self.last - self.first)
        times = np.column_stack([times, np.full(len(values), self.bias)])
        counts = np.zeros((len(values), steps, 5), np.uint8)
        step = np.floor(times / self.dt + 1e-9).astype(int)  # 1e-9: a time on the grid stays on it
        counts[np.arange(len(values))[:, None], step, np.arange(5)] = 1
        return Sequences(
            counts, np.full(len(values), steps), labels, 3, quiet=round(self.last / self.dt)
        )


def classify(x: float, y: float) -> int:
    """The label of a point of the disc, equation (1) of `YinYang` and its quirk."""
    left, right = np.hypot(x - 0.25, y - 0.5), np.hypot(x - 0.75, y - 0.5)
    if left < SMALL or right < SMALL:
        return DOT
    is_yin = right <= SMALL or SMALL < left <= BIG / 2 or (y > BIG and right > BIG / 2)
    return int(is_yin)  # the quirk: 1, named yang, where the point is in yin


def draw(seed: int, count: int) -> tuple[Float64[np.ndarray, "N 4"], Int64[np.ndarray, "N"]]:
    """Values and labels in the published order of draws; about 8 draws a point."""
    rng = np.random.RandomState(seed)
    points, labels = np.empty((count, 2)), np.empty(count, np.int64)
    for n in range(count):
        labels[n] = rng.randint(3)
        while True:
            x, y = rng.rand(2) * 2 * BIG
            inside = np.hypot(x - BIG, y - BIG) <= BIG
            if inside and classify(x, y) == labels[n]:
                break
        points[n] = x, y
    return np.column_stack([points, 1 - points]), labels


def yin_yang(settings: YinYang = YinYang(), count: int = 5000, test_count: int = 1000) -> Task:
    """Three classes, four spike times and a bias; the published points with the default counts.

    task = yin_yang(count=200, test_count=100)
    """
    at_least(1, count=count, test_count=test_count)
    return Task(
        name="yin_yang",
        summary="3 classes: is a point in yin, yang or a dot? Four spike times and a bias.",
        lines=5,
        outputs=3,
        dt=settings.dt,
        train=settings.encode(*draw(42, count)),
        test=settings.encode(*draw(40, test_count)),
        floors={"chance": float(np.log(3.0))},
    )
