import numpy as np
import pytest

from tracegrad.data.tasks.target_trains import TargetTrains, target_trains
from tracegrad.errors import UsageError


def test_rates():
    xs, ys = TargetTrains(outputs=100).trains(0)
    # 4 standard deviations of 500 x 200 draws at 0.01 and 500 x 100 at 0.008
    assert abs(xs.sum() - 1000) < 4 * 990**0.5
    assert abs(ys.sum() - 400) < 4 * 397**0.5


def test_the_same_trains_every_time():
    task = target_trains(TargetTrains(lines=5, outputs=2), seed=3, count=2)
    xs, ys = TargetTrains(lines=5, outputs=2).trains(3)
    batch = next(task.train.batches(2, np.random.default_rng(9)))
    for sequence in range(2):
        np.testing.assert_array_equal(batch.xs[:, sequence], xs)
        np.testing.assert_array_equal(batch.ys[:, sequence], ys)
    assert (batch.weight == 1).all() and batch.valid.all()
    assert (task.lines, task.outputs, task.steps, task.classifies) == (5, 2, 500, False)
    assert (target_trains(TargetTrains(lines=5, outputs=2), seed=4).sample(0).xs[:, 0] != xs).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": 0}, "lines must be at least 1, got 0"),
        ({"outputs": 0}, "outputs must be at least 1, got 0"),
        ({"duration": 0.5e-3}, "duration must be a multiple of dt = 0.001 s, got 0.0005 s"),
        ({"rate": 1001.0}, r"rate must lie in \[0.0, 1000.0\], got 1001.0"),
        ({"target_rate": -1.0}, r"target_rate must lie in \[0.0, 1000.0\], got -1.0"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        TargetTrains(**change)
