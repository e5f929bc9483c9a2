"""Running scale: features standardised by the samples that have come so far."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class RunningScale(NamedTuple):
    r"""Mean and variance of each feature over the `seen` samples so far.

    $\mu_n=s+\frac1n\sum_{i\le n}(x_i-s),\quad
    \sigma_n^2=\frac1n\sum_{i\le n}(x_i-s)^2-(\mu_n-s)^2$   (1)

    around the first sample, $s=x_1$, so that a large offset costs no digits. `first` and `second`
    are the two sums. They are added up sample by sample: how a stream is cut changes no bit.
    """

    seen: int
    shift: Float[np.ndarray, " m"]
    first: Float[np.ndarray, " m"]
    second: Float[np.ndarray, " m"]

    @staticmethod
    def around(sample: Float[np.ndarray, " m"]) -> "RunningScale":
        """No sample yet; `sample` is the one to come."""
        zeros = np.zeros_like(sample)
        return RunningScale(0, sample.copy(), zeros, zeros)

    def follow(
        self, xs: Float[np.ndarray, "samples m"]
    ) -> tuple["RunningScale", Float[np.ndarray, "samples m"]]:
        """Each sample standardised by those before it and itself, and the scale after all."""
        moved = xs - self.shift
        first = np.cumsum(np.vstack([self.first, moved]), axis=0)[1:]
        second = np.cumsum(np.vstack([self.second, moved**2]), axis=0)[1:]
        seen = self.seen + np.arange(1, len(xs) + 1)[:, None]
        after = RunningScale(self.seen + len(xs), self.shift, first[-1], second[-1])
        return after, _standardised(moved, first / seen, second / seen)

    def __call__(self, xs: Float[np.ndarray, "samples m"]) -> Float[np.ndarray, "samples m"]:
        """All samples standardised by this scale."""
        return _standardised(xs - self.shift, self.first / self.seen, self.second / self.seen)


def _standardised(moved: np.ndarray, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """(x - mean) / deviation; a feature that is constant but for rounding is only centred."""
    variance = square - mean**2
    constant = variance <= 1e-12 * square  # some thousand times what float64 rounds off
    return (moved - mean) / np.sqrt(np.where(constant, 1.0, variance))
