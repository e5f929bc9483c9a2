"""Tally: running sums of an epoch."""

from dataclasses import dataclass, field, replace

import numpy as np

from tracegrad.learn.plans.plan import Data
from tracegrad.run.learner import Info


@dataclass
class Tally:
    """Sums over the batches so far that were learned from; `skipped` ones count nowhere else.

    `right` is None where targets are values; `totals` are the mean outputs of every neuron of every
    hidden layer, `seconds` those of every batch.
    """

    batches: int = 0
    skipped: int = 0
    sequences: int = 0
    right: int | float | None = 0
    loss: float = 0.0
    totals: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, batch: Data, info: Info, right: int | float | None, seconds: float) -> None:
        """Count a batch. The learner's loss is a mean over the batch, fillers included."""
        self.batches += 1
        self.sequences += int(np.asarray(batch.valid).any(axis=0).sum())
        self.loss += float(info.loss) * batch.xs.shape[1]
        self.right = None if right is None or self.right is None else self.right + right
        before = self.totals or [[0.0] * layer.size for layer in info.rates]
        summed = [np.asarray(a) + np.asarray(b) for a, b in zip(before, info.rates, strict=True)]
        self.totals = [layer.tolist() for layer in summed]
        self.seconds.append(seconds)

    @property
    def seen(self) -> int:
        """Batches taken from the source."""
        return self.batches + self.skipped

    @property
    def mean_loss(self) -> float:
        """Mean loss of a sequence; NaN where there was none."""
        return self.loss / self.sequences if self.sequences else float("nan")

    @property
    def accuracy(self) -> float | None:
        """Share of sequences that are right; None where targets are values or there was none."""
        return None if self.right is None or not self.sequences else self.right / self.sequences

    @property
    def rates(self) -> list[np.ndarray]:
        """Mean output of every neuron of every hidden layer at a step; none without a batch."""
        return [np.asarray(layer) / self.batches for layer in self.totals]

    @property
    def mean_rate(self) -> float:
        """Mean output of a hidden neuron at a step; NaN where there was none."""
        return float(np.concatenate(self.rates).mean()) if self.batches else float("nan")

    @property
    def median_seconds(self) -> float:
        """Seconds of the median batch; NaN where there was none."""
        return float(np.median(self.seconds)) if self.seconds else float("nan")

    def short(self) -> "Tally":
        """The same with the median in place of all seconds."""
        return replace(self, seconds=[self.median_seconds] if self.seconds else [])
