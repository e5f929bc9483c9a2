"""The two golden experiments: everything that is drawn, from the seed alone, and the losses."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

from tracegrad.data.tasks.evidence_accumulation import Evidence
from tracegrad.data.tasks.pattern_generation import Pattern

SEED, ITERATIONS = 1, 5
PATTERN, EVIDENCE = Pattern(), Evidence()
# Losses of iterations 0..4: NEST's test_eprop_bsshslm_2020_plasticity.py, which checks them against
# the original TensorFlow code of Bellec et al. 2020 to 1e-7.
REGRESSION_LOSSES = (
    101.964356999041,
    103.466731126205,
    103.340607074771,
    103.680244037686,
    104.412775748752,
)
CLASSIFICATION_LOSSES = (
    0.741152550006,
    0.740388187700,
    0.665785233177,
    0.663644193322,
    0.729428962844,
)


class Regression(NamedTuple):
    """Pattern generation (100 LIF); the same sequence in every iteration. Rows: postsynaptic."""

    w_in: Float64[np.ndarray, "n m"]
    w_rec: Float64[np.ndarray, "n n"]
    w_out: Float64[np.ndarray, "o n"]
    feedback: Float64[np.ndarray, "n o"]
    xs: Float64[np.ndarray, "iterations T B m"]
    ys: Float64[np.ndarray, "iterations T B o"]
    losses: tuple[float, ...]


class Classification(NamedTuple):
    """Evidence accumulation (50 LIF, 50 ALIF); a new sequence in every iteration."""

    w_in: Float64[np.ndarray, "n m"]
    w_rec: Float64[np.ndarray, "n n"]
    w_out: Float64[np.ndarray, "o n"]
    feedback: Float64[np.ndarray, "n o"]
    xs: Float64[np.ndarray, "iterations T B m"]
    ys: Int32[np.ndarray, "iterations T B"]
    weight: Float64[np.ndarray, "iterations T B"]
    losses: tuple[float, ...]


def regression(seed: int = SEED, pattern: Pattern = PATTERN, n: int = 100) -> Regression:
    """The draws of a seed; the published losses belong to the defaults."""
    rng = np.random.RandomState(seed)
    w_in, w_rec = _weights(rng, pattern.lines, n), _recurrent(rng, n)
    w_out = _weights(rng, n, 1)
    feedback = _single(rng.randn(n, 1) / np.sqrt(n))
    xs, ys = pattern.spikes(rng), pattern.target(rng)
    shape = (ITERATIONS, pattern.steps, 1)
    return Regression(
        w_in=w_in,
        w_rec=w_rec,
        w_out=w_out,
        feedback=feedback,
        xs=np.broadcast_to(xs[:, None], (*shape, pattern.lines)).astype(float),
        ys=np.broadcast_to(ys[:, None, None], (*shape, 1)).copy(),
        losses=REGRESSION_LOSSES,
    )


def classification(
    seed: int = SEED, evidence: Evidence = EVIDENCE, n: int = 100, batch: int = 1
) -> Classification:
    """The draws of a seed; the published losses belong to the defaults."""
    rng = np.random.RandomState(seed)
    w_in, w_rec = _weights(rng, evidence.lines, n), _recurrent(rng, n)
    limit = np.sqrt(3 / ((n + 2) / 2))  # Glorot, uniform
    w_out = _single(rng.uniform(-limit, limit, (n, 2)).T)
    feedback = _single(rng.randn(n, 2))
    drawn = [evidence.sample(rng, batch) for _ in range(ITERATIONS)]
    xs = np.stack([sequences.xs for sequences in drawn]).astype(float)
    xs[:, 0] = 0.0  # as in the source: NEST ignores a spike at the first step of a sequence
    window = np.stack([sequences.weight for sequences in drawn]) > 0
    return Classification(
        w_in=w_in,
        w_rec=w_rec,
        w_out=w_out,
        feedback=feedback,
        xs=xs,
        ys=np.stack([sequences.ys for sequences in drawn]),
        weight=window / window.sum(axis=1, keepdims=True),  # 1/150 in float64
        losses=CLASSIFICATION_LOSSES,
    )


def _weights(rng: np.random.RandomState, before: int, after: int) -> Float64[np.ndarray, "n m"]:
    return _single(rng.randn(before, after).T / np.sqrt(before))


def _recurrent(rng: np.random.RandomState, size: int) -> Float64[np.ndarray, "n n"]:
    w_rec = _weights(rng, size, size)
    np.fill_diagonal(w_rec, 0.0)
    return w_rec


def _single(values: Float64[np.ndarray, "a b"]) -> Float64[np.ndarray, "a b"]:
    """Round to float32: NEST stores weights so."""
    return values.astype(np.float32).astype(np.float64)
