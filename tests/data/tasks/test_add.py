import math
from itertools import product

import numpy as np
import pytest

from tracegrad.data.tasks.add import Add, add
from tracegrad.errors import UsageError


def entropy(p: float) -> float:
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


def test_floors_by_enumeration():
    """All pasts, and the best answer of one who knows none, one or both of the coins."""
    y = {(a, b): 0.5 + 0.5 * a - 0.25 * b for a, b in product((0, 1), repeat=2)}
    none = entropy(sum(y.values()) / 4)
    first = sum(entropy((y[a, 0] + y[a, 1]) / 2) for a in (0, 1)) / 2
    both = sum(map(entropy, y.values())) / 4
    assert [round(v, 4) for v in (none, first, both)] == [0.6616, 0.5192, 0.4545]
    assert add().floors == {
        "no memory": pytest.approx(none),
        "lag 5 known": pytest.approx(first),
        "both lags known": pytest.approx(both),
    }


def test_draws_reach_the_floors():
    """The loss of the three best answers on drawn sequences, within 4 standard errors."""
    batch = Add(first=2, second=5, steps=60).sample(np.random.default_rng(0), 500)
    x = batch.xs[:, :, 0]
    a, b = x[3:-2], x[:-5]
    label = batch.ys[5:]
    for p, floor in (
        (np.full(a.shape, 0.625), 0.6616),
        (0.375 + 0.5 * a, 0.5192),
        (0.5 + 0.5 * a - 0.25 * b, 0.4545),
    ):
        chosen = np.where(label == 0, p, 1 - p)
        assert chosen.min() > 0, "what equation (1) forbids does not happen"
        loss = -np.log(chosen)
        assert abs(loss.mean() - floor) < 4 * loss.std() / loss.size**0.5
    np.testing.assert_array_equal(batch.xs[:, :, 1], 1 - x)
    assert not batch.weight[:5].any() and not batch.ys[:5].any()
    assert (batch.weight[5:] == np.float32(1 / 55)).all()


def test_stretched_coins_last():
    batch = Add(first=2, second=3, steps=40, stretch=4).sample(np.random.default_rng(0), 3)
    for values in (batch.xs[..., 0], batch.ys):
        held = values.reshape(10, 4, 3)
        assert (held == held[:, :1]).all()
    assert not batch.weight[:12].any() and batch.weight[12:].all()


def test_task():
    task = add(count=4, test_count=2)
    assert (task.lines, task.outputs, task.steps, task.stepwise) == (2, 2, 200, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": 0}, "first must be at least 1, got 0"),
        ({"second": 5}, "first, second and steps/stretch must increase, got 5, 5 and 200/1"),
        ({"steps": 9}, "first, second and steps/stretch must increase, got 5, 9 and 9/1"),
        ({"stretch": 0}, "stretch must be at least 1, got 0"),
        ({"dt": 0.0}, "dt must be a positive whole number of microseconds"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        Add(**change)
