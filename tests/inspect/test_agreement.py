"""Agreement: the numbers, by hand."""

import numpy as np
import pytest

from tracegrad.inspect.agreement import agree, agree_by_lag

EXACT = np.array([[3.0, 0.0], [0.0, -4.0]])


def one(gradient):
    return agree("w", np.asarray(gradient, dtype=float)[None], EXACT, None)


def test_the_exact_gradient_agrees_with_itself():
    found = one(EXACT)
    assert found[:5] == ("w", pytest.approx(1.0), 1.0, 1.0, 0.0)
    assert (found.variance, found.exact_norm) == (None, 5.0)


def test_half_of_it_and_the_opposite():
    assert one(0.5 * EXACT)[1:5] == pytest.approx((1.0, 0.5, 1.0, 0.5))
    assert one(-2.0 * EXACT)[1:5] == pytest.approx((-1.0, 2.0, 0.0, 3.0))


def test_entries_without_exact_gradient_have_no_sign_and_zero_is_no_sign():
    found = one([[3.0, 7.0], [5.0, 0.0]])
    assert found.sign_agreement == 0.5
    assert found.cosine == pytest.approx(9.0 / (5.0 * np.sqrt(83.0)))


def test_draws_have_a_bias_and_a_variance():
    found = agree("w", np.stack([EXACT + 3.0, EXACT - 1.0]), EXACT, None)
    assert found.bias == pytest.approx(2.0 / 5.0)  # the mean is off by 1 in four entries
    # Each draw is 2 from the mean in four entries; two draws have one degree of freedom.
    assert found.variance == pytest.approx((16.0 + 16.0) / 1 / 25.0)


def test_nothing_is_compared_with_zero():
    found = agree("w", EXACT[None], 0.0 * EXACT, None)
    assert np.isnan(found[1:5]).all() and found.exact_norm == 0.0
    assert np.isnan(one(0.0 * EXACT).cosine) and one(0.0 * EXACT).norm_ratio == 0.0


def test_each_lag_is_compared_for_itself():
    exact = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1e-15], [0.5, 0.0]])
    ours = np.array([[2.0, 0.0], [2.0, 0.0], [1e-15, 0.0], [0.0, 1e-15]])
    found = agree_by_lag(ours[None], exact, older=True)
    assert found.labels == ["0", "1", "2", "3+"]
    np.testing.assert_equal(found.cosine, [1.0, 0.0, np.nan, np.nan])
    np.testing.assert_equal(found.norm_ratio, [2.0, 1.0, np.nan, 0.0])  # rounding is no gradient
    np.testing.assert_allclose(found.share, np.array([1.0, 2.0, 1e-15, 0.5]) / 2.5)
    assert agree_by_lag(ours[None], exact, older=False).labels == ["0", "1", "2", "3"]
