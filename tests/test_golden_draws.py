"""The draws of the golden experiments equal the arrays that gave the published losses."""

import json
from pathlib import Path

import numpy as np
import pytest

import golden


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    folder = shared / "eprop_nest_reference"
    if not folder.is_dir():
        pytest.skip(f"no reference arrays in {folder}")
    return folder


def assert_same_weights(drawn, arrays):
    for name, key in (
        ("w_in", "W_in"),
        ("w_rec", "W_rec"),
        ("w_out", "W_out"),
        ("feedback", "B_feedback"),
    ):
        value = getattr(drawn, name)
        assert value.dtype == np.float64
        np.testing.assert_array_equal(value, arrays[key])


def test_regression(reference):
    drawn = golden.regression()
    with np.load(reference / "regression_bsshslm2020_inputs.npz") as arrays:
        assert_same_weights(drawn, arrays)
        for xs, ys in zip(drawn.xs, drawn.ys, strict=True):
            np.testing.assert_array_equal(xs[:, 0], arrays["x_in"])
            np.testing.assert_array_equal(ys[:, 0, 0], arrays["target"])


def test_classification(reference):
    drawn = golden.classification()
    with np.load(reference / "classification_bsshslm2020_batch1_inputs.npz") as arrays:
        assert_same_weights(drawn, arrays)
        np.testing.assert_array_equal(drawn.xs.transpose(0, 2, 1, 3), arrays["x_in"])
        for ys, label in zip(drawn.ys, arrays["target_cue"], strict=True):
            np.testing.assert_array_equal(ys, np.broadcast_to(label, ys.shape))
    np.testing.assert_array_equal(drawn.weight.sum(axis=1), 1.0)


def test_losses(reference):
    stored = json.loads((reference / "reference.json").read_text())
    assert golden.REGRESSION_LOSSES == tuple(stored["regression_bsshslm2020"]["loss_nest"])
    assert golden.CLASSIFICATION_LOSSES == tuple(
        stored["classification_bsshslm2020"]["loss_nest_batch1"]
    )


def test_sums_without_reference():
    # of the arrays that the tests above have compared
    first, second = golden.regression(), golden.classification()
    assert first.xs[0].sum() == 5053
    assert first.ys[0].sum() == pytest.approx(291.5770433092107, rel=1e-12)
    assert second.ys[:, 0, 0].tolist() == [1, 1, 0, 0, 1]
    assert second.xs.sum(axis=(1, 2, 3)).tolist() == [597, 562, 523, 554, 579]


def test_shapes():
    first, second = golden.regression(), golden.classification()
    assert first.xs.shape == (5, 1000, 1, 100) and first.ys.shape == (5, 1000, 1, 1)
    assert second.xs.shape == (5, 2250, 1, 40) and second.ys.shape == (5, 2250, 1)
    assert first.losses != second.losses
