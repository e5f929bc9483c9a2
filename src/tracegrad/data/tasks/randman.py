r"""Randman: classes that lie on smooth random manifolds, as spike times or as rates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from tracegrad.data.checks import at_least, within
from tracegrad.data.events import microseconds
from tracegrad.data.sequences import Sequences
from tracegrad.data.task import Task
from tracegrad.errors import UsageError

PRECISION, MOST = 1e-3, 1000  # amplitudes below this are left out; at most so many frequencies
CHUNK = 20  # samples at a time: what fits the cache is six times faster
TRAINING = 0.8  # share of the samples of a class; the others are the test set
Spectrum = Callable[[Float64[np.ndarray, "F"], float], Float64[np.ndarray, "F"]]


def bounded_spectrum(frequency: Float64[np.ndarray, "F"], alpha: float) -> np.ndarray:
    r"""$s_i=1/(|i+1|^\alpha+1)$, of the generator's PyTorch and JAX classes."""
    return 1.0 / (np.abs(frequency + 1.0) ** alpha + 1.0)


def power_spectrum(frequency: Float64[np.ndarray, "F"], alpha: float) -> np.ndarray:
    r"""$s_i=(i+1)^{-\alpha}$, of the generator's NumPy class."""
    return (frequency + 1.0) ** -alpha


@dataclass(frozen=True)
class Randman:
    r"""Settings of the task. A manifold of dimension D has the coordinates d = 1 ... `lines`

    $y_d(x)=\prod_{k=1}^{D}\sum_{i=0}^{f-1}\theta^{(0)}_{dki}\,s_i
        \sin 2\pi\big(i\,x_k\,\theta^{(1)}_{dki}+\theta^{(2)}_{dki}\big),\quad
        f=\min(\lceil 10^{3/\alpha}\rceil,1000)$   (1)

    with all $\theta\sim U(0,1)$ but $\theta^{(0)}_{dk0}=0$, and $x\sim U(0,1)^D$. The larger
    `alpha`, the smoother. Every class has a manifold of its own (as many as `spikes`), and every
    coordinate is scaled to [0, 1] over the samples. As times: unit d spikes once a manifold, at
    step $\lfloor T\,\mathrm{share}\,y_d\rfloor$, so counts tell nothing. As rates: unit d spikes
    with probability $\mathrm{rate}\,\Delta t\,y_d$ at each step of the first `share`, so times tell
    nothing more. The label counts after `share` of the steps.

    Known ceiling, as times with the defaults and 128 hidden neurons: 96.3 % by BPTT. `dt` in
    seconds, `rate` in hertz; building costs O(classes samples lines D f). Source: Zenke and Vogels
    2021; defaults of the stork tutorial, whose spectrum is `bounded_spectrum`.
    """

    classes: int = 10
    lines: int = 20
    steps: int = 100
    dimension: int = 1
    alpha: float = 1.0
    samples: int = 1000
    spikes: int = 1
    share: float = 0.5
    rate: float = 250.0
    dt: float = 2e-3
    spectrum: Spectrum = bounded_spectrum

    def __post_init__(self) -> None:
        """Refuse settings without two classes, a training and a test sample, or a spike."""
        microseconds(self.dt, "dt")
        at_least(2, classes=self.classes, samples=self.samples, steps=self.steps)
        at_least(1, lines=self.lines, dimension=self.dimension, spikes=self.spikes)
        within(0.0, 1.0 / self.dt, rate=self.rate)
        if not self.alpha > 0 or not 1 / self.steps <= self.share < 1:
            raise UsageError(
                f"alpha must be positive and share lie in [1/steps, 1), got {self.alpha} and "
                f"{self.share}."
            )

    @property
    def active(self) -> int:
        """Steps in which the input spikes."""
        return int(self.steps * self.share)

    def times(self, rng: np.random.Generator) -> UInt8[np.ndarray, "N T m"]:
        """Draw the spikes of every sample, coded by time; samples of a class in a row."""
        counts = np.zeros((self.classes * self.samples, self.steps, self.lines), np.uint8)
        line = np.arange(self.lines)
        for label in range(self.classes):
            row = np.arange(label * self.samples, (label + 1) * self.samples)[:, None]
            for _ in range(self.spikes):
                step = np.floor(self.steps * self.share * self.coordinates(rng)).astype(int)
                counts[row, step, line] += 1
        return counts

    def rates(self, rng: np.random.Generator) -> Bool[np.ndarray, "N T m"]:
        """Draw the spikes of every sample, coded by rate; samples of a class in a row."""
        chance = np.concatenate([self.coordinates(rng) for _ in range(self.classes)])
        spikes = np.zeros((len(chance), self.steps, self.lines), dtype=bool)
        drawn = rng.random((len(chance), self.active, self.lines), dtype=np.float32)
        spikes[:, : self.active] = drawn < self.rate * self.dt * chance[:, None]
        return spikes

    def coordinates(self, rng: np.random.Generator) -> Float64[np.ndarray, "samples m"]:
        """Samples of a new manifold, each coordinate scaled to [0, 1]: theta, then x are drawn."""
        frequencies = min(int(np.ceil(PRECISION ** (-1 / self.alpha) - 1e-9)), MOST)
        theta = rng.random((self.lines, self.dimension, 3, frequencies))
        theta[:, :, 0, 0] = 0.0
        points = rng.random((self.samples, self.dimension))
        y = manifold(points, theta, self.spectrum(np.arange(frequencies) * 1.0, self.alpha))
        low, high = y.min(axis=0), y.max(axis=0)
        return (y - low) / (high - low)


def manifold(
    points: Float64[np.ndarray, "N D"],
    theta: Float64[np.ndarray, "m D 3 F"],
    spectrum: Float64[np.ndarray, "F"],
) -> Float64[np.ndarray, "N m"]:
    """Equation (1) of `Randman`; O(N m D F) time, O(N m) memory; right to about 1e-6."""
    turns = np.arange(len(spectrum)) * theta[:, :, 1]
    amplitudes = (theta[:, :, 0] * spectrum).astype(np.float32)
    y = np.ones((len(points), len(theta)))
    for start in range(0, len(points), CHUNK):
        some = slice(start, start + CHUNK)
        for unit, axis in np.ndindex(amplitudes.shape[:2]):
            angle = np.multiply.outer(points[some, axis], turns[unit, axis])
            angle += theta[unit, axis, 2]
            angle -= np.rint(angle)  # so that single precision, four times faster, is enough
            y[some, unit] *= np.sin(2 * np.pi * angle.astype(np.float32)) @ amplitudes[unit, axis]
    return y


def randman(settings: Randman = Randman(), seed: int = 0) -> Task:
    """Classes told apart by spike times alone; `seed` draws manifolds and samples.

    task = randman(Randman(classes=2, samples=50))
    """
    counts = settings.times(np.random.default_rng(seed))
    return _task("randman", "spike times on random manifolds.", settings, counts)


def randman_rate(settings: Randman = Randman(alpha=2.0), seed: int = 0) -> Task:
    """Classes told apart by rates alone; `seed` draws manifolds, samples and spikes.

    A rate is known only as well as the number of its spikes, hence the smoother manifolds.

    task = randman_rate(Randman(classes=2, samples=50))
    """
    counts = settings.rates(np.random.default_rng(seed)).astype(np.uint8)
    return _task("randman_rate", "rates on random manifolds.", settings, counts)


def _task(name: str, what: str, settings: Randman, counts: UInt8[np.ndarray, "N T m"]) -> Task:
    labels = np.repeat(np.arange(settings.classes), settings.samples)
    training = np.arange(len(labels)) % settings.samples < TRAINING * settings.samples
    train, test = (
        Sequences(
            counts[kept],
            np.full(kept.sum(), settings.steps),
            labels[kept],
            settings.classes,
            quiet=settings.active,
        )
        for kept in (training, ~training)
    )
    return Task(
        name=name,
        summary=f"{settings.classes} classes: {what}",
        lines=settings.lines,
        outputs=settings.classes,
        dt=settings.dt,
        train=train,
        test=test,
        floors={"chance": float(np.log(settings.classes))},
    )
