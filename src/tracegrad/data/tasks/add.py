"""Add: predict a coin whose bias depends on two coins of the past."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import entr

from tracegrad.data.answer import answers
from tracegrad.data.checks import at_least
from tracegrad.data.events import microseconds
from tracegrad.data.sampler import Sampler
from tracegrad.data.task import Batch, Task
from tracegrad.errors import UsageError


@dataclass(frozen=True)
class Add:
    r"""Settings of the task.

    $x^t\sim\mathrm{Bernoulli}(\tfrac12),\quad
        y^t=\tfrac12+\tfrac12x^{t-t_1}-\tfrac14x^{t-t_2}$   (1)

    Input lines are $x$ and $1-x$; the label of a step is 0 with probability $y^t$, else 1. It
    counts from the step on at which both coins are known, so these floors of the cross-entropy hold
    exactly (nats, whatever the lags): no memory 0.6616, only $t_1$ known 0.5192, both 0.4545. Which
    of them a rule stops at tells how far back it learns. Every coin lasts `stretch` steps, and lags
    `first` and `second` count coins. Source: Marschall et al. 2020.
    """

    first: int = 5
    second: int = 9
    steps: int = 200
    stretch: int = 1
    dt: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse lags out of order and sequences without a label."""
        at_least(1, first=self.first, stretch=self.stretch)
        microseconds(self.dt, "dt")
        if self.second <= self.first or self.steps <= self.second * self.stretch:
            raise UsageError(
                "first, second and steps/stretch must increase, got "
                f"{self.first}, {self.second} and {self.steps}/{self.stretch}."
            )

    def probability(
        self, first: Float64[np.ndarray, "*n"], second: Float64[np.ndarray, "*n"]
    ) -> Float64[np.ndarray, "*n"]:
        """Equation (1), the probability of label 0, from the two coins."""
        return 0.5 + 0.5 * first - 0.25 * second

    @property
    def floors(self) -> dict[str, float]:
        """Cross-entropy (nats) of the best answer by what it remembers, over all four pasts."""
        first, second = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
        y = self.probability(first, second)
        return {
            "no memory": _entropy(y.mean()),
            f"lag {self.first} known": _entropy(y.mean(axis=1)),
            "both lags known": _entropy(y),
        }

    def sample(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw all coins, then all labels."""
        coins = -(-self.steps // self.stretch)
        x = rng.integers(0, 2, (coins, batch)) * 1.0
        y = np.zeros_like(x)
        y[self.second :] = self.probability(
            x[self.second - self.first : coins - self.first], x[: coins - self.second]
        )
        label = rng.random(y.shape) >= y
        xs, ys = (np.repeat(a, self.stretch, axis=0)[: self.steps] for a in (x, label))
        asked = np.zeros(ys.shape, dtype=bool)
        asked[self.second * self.stretch :] = True
        return answers(np.stack([xs, 1.0 - xs], axis=2), np.where(asked, ys, 0), asked)


def add(settings: Add = Add(), count: int = 320, test_count: int = 320) -> Task:
    """Two classes at every step; `count` new sequences an epoch.

    task = add(Add(first=4, second=7))
    """
    return Task(
        name="add",
        summary=f"2 classes a step: a coin biased by those {settings.first} and "
        f"{settings.second} steps before.",
        lines=2,
        outputs=2,
        dt=settings.dt,
        train=Sampler(settings.sample, count),
        test=Sampler(settings.sample, test_count, seed=1),
        floors=settings.floors,
        stepwise=True,
    )


def _entropy(p: Float64[np.ndarray, "*n"] | np.float64) -> float:
    """Mean entropy of coins (nats)."""
    return float(np.mean(entr(p) + entr(1.0 - p)))
