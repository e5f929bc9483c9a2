"""Agreement: numbers that say how close a gradient is to the exact one, a parameter at a time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Reals = Float[np.ndarray, "..."]


class ByLag(NamedTuple):
    """Agreement by lag, arrays of one entry per lag; NaN where there is nothing to compare.

    `lags` are steps between the use of the weight and the loss; if `older`, the last entry holds
    all that is older too.
    `share` is the norm of the exact part relative to that of the whole exact gradient; parts may
    cancel, so shares need not sum to 1.
    """

    lags: tuple[int, ...]
    older: bool
    cosine: Float[np.ndarray, " lag"]
    norm_ratio: Float[np.ndarray, " lag"]
    sign_agreement: Float[np.ndarray, " lag"]
    share: Float[np.ndarray, " lag"]

    @property
    def labels(self) -> list[str]:
        """Lags as text; the last with a plus sign."""
        ends = ["" for _ in self.lags[:-1]] + ["+" if self.older else ""]
        return [f"{lag}{end}" for lag, end in zip(self.lags, ends, strict=True)]


class Agreement(NamedTuple):
    r"""How a gradient $g$ of one parameter agrees with the exact $g^*$, over draws of the rule.

    | field | what |
    | --- | --- |
    | `cosine` | $\langle g,g^*\rangle/(\lVert g\rVert\lVert g^*\rVert)$, mean over draws |
    | `norm_ratio` | $\lVert g\rVert/\lVert g^*\rVert$, mean over draws |
    | `sign_agreement` | fraction of the entries with $g^*_i\ne0$ that have its sign |
    | `bias` | $\lVert\bar g-g^*\rVert/\lVert g^*\rVert$ with $\bar g$ the mean over draws |
    | `variance` | mean of $\lVert g-\bar g\rVert^2/\lVert g^*\rVert^2$; None for a single draw |

    The mean of n draws is itself off by about $\sqrt{\mathrm{variance}/n}$: a bias below that shows
    nothing. NaN where the exact gradient is zero.
    """

    name: str
    cosine: float
    norm_ratio: float
    sign_agreement: float
    bias: float
    variance: float | None
    exact_norm: float
    by_lag: ByLag | None


def agree(name: str, draws: Reals, exact: Reals, by_lag: ByLag | None) -> Agreement:
    """Agreement of the gradients `draws` (draw, *shape) of one parameter with `exact` (*shape)."""
    flat, true = draws.reshape(len(draws), -1), exact.reshape(-1)
    norm = float(np.linalg.norm(true))
    mean = flat.mean(axis=0)
    off = float(np.linalg.norm(mean - true))
    spread = None
    if len(flat) > 1:
        squared = float(np.sum((flat - mean) ** 2)) / (len(flat) - 1)
        spread = _ratio(squared, norm**2)
    cosine, ratio, sign = _closeness(flat, true, 0.0)
    return Agreement(name, cosine, ratio, sign, _ratio(off, norm), spread, norm, by_lag)


def agree_by_lag(draws: Reals, exact: Reals, older: bool) -> ByLag:
    """Agreement of `draws` (draw, lag, *shape) with `exact` (lag, *shape), each lag for itself.

    Parts below the rounding of the largest are no gradient: 100 machine epsilons of their type,
    because an online rule's parts are differences of sums.
    """
    count = len(exact)
    flat, true = draws.reshape(len(draws), count, -1), exact.reshape(count, -1)
    norms = np.linalg.norm(true, axis=1)
    largest = max(float(norms.max()), float(np.linalg.norm(flat, axis=2).max()))
    floor = 100 * float(np.finfo(exact.dtype).eps) * largest
    rows = [_closeness(flat[:, lag], true[lag], floor) for lag in range(count)]
    cosine, ratio, sign = (np.array(column) for column in zip(*rows, strict=True))
    whole = float(np.linalg.norm(true.sum(axis=0)))
    share = norms / whole if whole else np.full(count, np.nan)
    return ByLag(tuple(range(count)), older, cosine, ratio, sign, share)


def _closeness(
    flat: Float[np.ndarray, "draw p"], true: Float[np.ndarray, " p"], floor: float
) -> tuple[float, float, float]:
    """Cosine, norm ratio and sign agreement, mean over draws; norms up to `floor` are zero."""
    norm, norms = float(np.linalg.norm(true)), np.linalg.norm(flat, axis=1)
    norms = np.where(norms > floor, norms, 0.0)
    if norm <= floor:
        return np.nan, np.nan, np.nan
    if not norms.all():  # a zero vector points nowhere
        return np.nan, float(norms.mean()) / norm, np.nan
    cosine = float(np.mean(flat @ true / (norms * norm)))
    there = true != 0
    sign = float(np.mean(np.sign(flat[:, there]) == np.sign(true[there])))
    return cosine, float(norms.mean()) / norm, sign


def _ratio(value: float, whole: float) -> float:
    return value / whole if whole else np.nan
