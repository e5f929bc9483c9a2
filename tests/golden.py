"""The two golden experiments: everything that is drawn, from the seed alone, and the losses."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

from tracegrad.data.tasks.evidence_accumulation import Evidence
from tracegrad.data.tasks.pattern_generation import Pattern

SEED, ITERATIONS = 1, 5
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


def regression() -> Regression:
    rng = np.random.RandomState(SEED)
    w_in, w_rec = _weights(rng, 100, 100), _recurrent(rng, 100)
    w_out = _weights(rng, 100, 1)
    feedback = _single(rng.randn(100, 1) / np.sqrt(100))
    pattern = Pattern()
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


def classification() -> Classification:
    rng = np.random.RandomState(SEED)
    w_in, w_rec = _weights(rng, 40, 100), _recurrent(rng, 100)
    limit = np.sqrt(3 / ((100 + 2) / 2))  # Glorot, uniform
    w_out = _single(rng.uniform(-limit, limit, (100, 2)).T)
    feedback = _single(rng.randn(100, 2))
    drawn = [Evidence().sample(rng, 1) for _ in range(ITERATIONS)]
    window = np.stack([batch.weight for batch in drawn]) > 0
    return Classification(
        w_in=w_in,
        w_rec=w_rec,
        w_out=w_out,
        feedback=feedback,
        xs=np.stack([batch.xs for batch in drawn]).astype(float),
        ys=np.stack([batch.ys for batch in drawn]),
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
