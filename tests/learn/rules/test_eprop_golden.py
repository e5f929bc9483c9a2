"""The golden losses of e-prop: they pin timing, filter, refractoriness, regulariser, optimiser."""

import pytest

import golden
import golden_runs

RELATIVE = 1e-9  # the published losses have 12 digits after the point


def test_sine_regression():
    run = golden_runs.regression(golden.regression())
    assert run.losses == pytest.approx(golden.REGRESSION_LOSSES, rel=RELATIVE)


def test_evidence_accumulation_with_adam():
    run = golden_runs.classification(golden.classification())
    assert run.losses == pytest.approx(golden.CLASSIFICATION_LOSSES, rel=RELATIVE)
