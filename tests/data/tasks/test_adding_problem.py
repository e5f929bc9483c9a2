import numpy as np
import pytest

from tracegrad.data.tasks.adding_problem import Adding, adding_problem
from tracegrad.errors import UsageError


def test_the_target_is_the_sum_of_the_marked_numbers():
    batch = Adding(steps=7).sample(np.random.default_rng(0), 400)
    number, marker = batch.xs[..., 0], batch.xs[..., 1]
    assert (marker[:3].sum(axis=0) == 1).all() and (marker[3:].sum(axis=0) == 1).all()
    assert set(np.flatnonzero(marker.any(axis=1))) == set(range(7))
    np.testing.assert_allclose(batch.ys[-1, :, 0], (number * marker).sum(axis=0), rtol=1e-6)
    assert (batch.weight[-1] == 1).all() and not batch.weight[:-1].any()


def test_the_floor_is_the_loss_of_always_answering_1():
    ys = Adding(steps=2).sample(np.random.default_rng(0), 20_000).ys[-1]
    loss = 0.5 * (1 - ys) ** 2
    floor = adding_problem().floors["always 1"]
    assert floor == pytest.approx(1 / 12)
    assert abs(loss.mean() - floor) < 4 * loss.std() / 20_000**0.5


def test_task():
    task = adding_problem(count=3, test_count=2)
    assert (task.lines, task.outputs, task.steps, task.classifies) == (2, 1, 50, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 1}, "steps must be at least 2, one for each marker, got 1"),
        ({"dt": 0.0}, "dt must be a positive whole number of microseconds"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        Adding(**change)
