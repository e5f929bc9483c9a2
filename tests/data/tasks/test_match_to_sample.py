import numpy as np
import pytest

from tracegrad.data.tasks.match_to_sample import MatchToSample, match_to_sample
from tracegrad.errors import UsageError


def test_rates_by_hand():
    settings = MatchToSample(directions=4, lines=4, kappa=3.0, rate=100.0, background=1.0)
    # direction 1 is a quarter turn: line 1 prefers it, 0 and 2 are at right angles, 3 is opposite
    expected = [1 + 100 * np.exp(-3), 101, 1 + 100 * np.exp(-3), 1 + 100 * np.exp(-6)]
    np.testing.assert_allclose(settings.rates(np.array([1]))[0], expected)


def test_timing_labels_and_balance():
    settings = MatchToSample(
        directions=3, lines=3, kappa=50.0, rate=900.0, background=0.0, fixation=5e-3, shown=20e-3,
        delay=10e-3,
    )  # fmt: skip
    batch = settings.draw(np.random.default_rng(0), 300)
    assert batch.xs.shape == (55, 300, 3)
    assert not batch.xs[:5].any() and not batch.xs[25:35].any()
    first, second = (batch.xs[at : at + 20].sum(axis=0).argmax(axis=1) for at in (5, 35))
    np.testing.assert_array_equal(batch.ys[0], first == second)
    assert not batch.weight[:35].any() and (batch.weight[35:] == np.float32(0.05)).all()
    assert abs(batch.ys[0].mean() - 0.5) < 4 * 0.5 / 300**0.5
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    assert len(pairs) == 9, "every direction follows every other"


def test_task():
    task = match_to_sample(count=3, test_count=2)
    assert (task.lines, task.outputs, task.steps, task.classifies) == (100, 2, 2010, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": 1}, "directions must be at least 2, got 1"),
        ({"lines": 0}, "lines must be at least 1, got 0"),
        ({"delay": 0.5e-3}, "delay must be a multiple of dt = 0.001 s, got 0.0005 s"),
        ({"rate": 1000.0}, r"rate must lie in \[0.0, 1000.0\], got 1001.0"),
        ({"background": -1.0}, r"background must lie in \[0.0, 1000.0\], got -1.0"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        MatchToSample(**change)
