import numpy as np
import pytest

from tracegrad.data.tasks.pattern_generation import Pattern, pattern_generation
from tracegrad.errors import UsageError


class Fixed:
    """Stands for a generator: amplitudes 1 and 2, phases 0 and pi/2."""

    def __init__(self):
        self.draws = [[1.0, 2.0], [0.0, np.pi / 2]]

    def uniform(self, low, high, size):
        assert (low, high, size) == [(0.5, 2.0, 2), (0.0, 2 * np.pi, 2)][2 - len(self.draws)]
        return np.array(self.draws.pop(0))


def test_target_by_hand(as_user):
    # steps 5, periods 5 and 2: 1 and 2 whole cycles over 0..4. sin: 0 1 0 -1 0; 2 cos(t pi): 2 -2 2
    # -2 2. Sum minus its start: 0 -3 0 -5 0.
    target = Pattern(lines=1, steps=5, periods=(5, 2)).target(Fixed())
    np.testing.assert_allclose(target, [0, -0.6, 0, -1, 0], atol=1e-12)


def test_spikes():
    spikes = Pattern().spikes(np.random.RandomState(0))
    assert spikes.shape == (1000, 100) and not spikes[0].any()
    # 99,900 draws at 0.05; 4 standard deviations
    assert abs(spikes.sum() - 4995) < 4 * (99_900 * 0.05 * 0.95) ** 0.5


def test_the_same_pattern_every_time():
    task = pattern_generation(count=3)
    rng = np.random.default_rng(5)
    first, second = (list(task.train.batches(2, rng)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.xs, b.xs)
        np.testing.assert_array_equal(a.ys, b.ys)
    np.testing.assert_array_equal(first[0].xs[:, 0], first[0].xs[:, 1])
    np.testing.assert_array_equal(first[0].xs[:, :1], next(task.test.batches(1, None)).xs)
    assert [b.valid.any(axis=0).tolist() for b in first] == [[True, True], [True, False]]
    other = next(pattern_generation(seed=2).test.batches(1, None))
    assert (other.xs != first[0].xs[:, :1]).any() and (other.ys != first[0].ys[:, :1]).any()


def test_task():
    task = pattern_generation()
    batch = next(task.train.batches(1, None))
    assert (task.lines, task.outputs, task.dt, task.steps) == (100, 1, 1e-3, 1000)
    assert not task.classifies
    assert batch.ys.shape == (1000, 1, 1) and batch.ys.dtype == batch.xs.dtype == np.float32
    assert batch.ys[0] == 0 and np.abs(batch.ys).max() == 1
    assert (batch.weight == 1).all() and batch.valid.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 0.0}, "dt must be a positive whole number of microseconds"),
        ({"lines": 0}, "needs a line and two steps, got lines 0, steps 1000"),
        ({"steps": 1}, "needs a line and two steps, got lines 100, steps 1"),
        ({"rate": 1001.0}, r"rate must lie in \[0, 1/dt\] = \[0, 1000.0\], got 1001.0"),
        ({"periods": ()}, r"periods must lie in \[1, steps\], got \(\) of 1000"),
        ({"periods": (1001,)}, r"periods must lie in \[1, steps\], got \(1001,\) of 1000"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        Pattern(**change)
