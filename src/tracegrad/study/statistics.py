"""Statistics: mean and spread over seeds, and paired differences with confidence intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
METHOD = "Student's t interval of the mean of the differences per seed, 95 %, by scipy"


class Spread(NamedTuple):
    """Mean, standard deviation (n - 1 in the denominator; None of one value), and n."""

    mean: float
    sd: float | None
    n: int


class Paired(NamedTuple):
    """Mean difference over n pairs and its confidence interval (None of one pair)."""

    mean: float
    low: float | None
    high: float | None
    n: int


def spread(values: Sequence[int | float]) -> Spread:
    """Mean and standard deviation of at least one value."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd, len(values))


def paired(differences: Sequence[int | float]) -> Paired:
    r"""$\bar d\pm t_{0.975,n-1}\,s/\sqrt n$ over at least one difference of a pair.

    Exact for differences that are normal; with the few seeds of a study it is wide, as it must be.
    """
    mean, sd, n = spread(differences)
    if sd is None:
        return Paired(mean, None, None, n)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * sd / float(np.sqrt(n))
    return Paired(mean, mean - half, mean + half, n)
