import numpy as np
import pytest

from tracegrad.data.sequences import Sequences
from tracegrad.data.tasks.yin_yang import YinYang, classify, draw, yin_yang
from tracegrad.errors import UsageError

POINTS = [  # (x, y, label): worked out from the drawing, with the quirk: 1 in yin, 0 in yang
    (0.25, 0.5, 2),
    (0.75, 0.55, 2),
    (0.25, 0.7, 1),  # in the left half-disc, though y > 0.5
    (0.25, 0.35, 1),  # and below the middle
    (0.75, 0.7, 0),  # the right half-disc
    (0.75, 0.3, 0),
    (0.5, 0.9, 1),  # above, outside both
    (0.5, 0.1, 0),  # below, outside both
]


@pytest.mark.parametrize(("x", "y", "label"), POINTS)
def test_points_by_hand(x, y, label):
    assert classify(x, y) == label


def test_the_first_draws_by_hand():
    """Class first, then pairs until one fits; the seed's numbers, one at a time."""
    values, labels = draw(42, 50)
    rng = np.random.RandomState(42)
    for value, label in zip(values, labels, strict=True):
        assert label == rng.randint(3)
        point = rng.rand(2)
        while not (np.hypot(*(point - 0.5)) <= 0.5 and classify(*point) == label):
            point = rng.rand(2)
        np.testing.assert_array_equal(value, [*point, *(1 - point)])


def test_the_published_set(shared):
    if not (path := shared / "yin_yang" / "yin_yang_publication.npz").is_file():
        pytest.skip(f"no {path}")
    published = np.load(path)
    for name, seed, count in (("train", 42, 5000), ("validation", 41, 1000), ("test", 40, 1000)):
        values, labels = draw(seed, count)
        np.testing.assert_array_equal(values, published[f"x_{name}"])
        np.testing.assert_array_equal(labels, published[f"y_{name}"])


def test_spike_times_by_hand():
    code = YinYang(first=1e-3, last=3e-3, bias=0.5e-3, duration=4e-3, dt=0.5e-3)
    source = code.encode(np.array([[0.0, 1.0, 0.5, 0.3]]), np.array([2]))
    assert isinstance(source, Sequences)
    assert source.counts[0].argmax(axis=0).tolist() == [2, 6, 4, 3, 1]
    assert (source.counts.sum(axis=1) == 1).all()
    (batch,) = source.batches(1, None)
    assert batch.weight[:, 0].tolist() == [0] * 6 + [0.5] * 2


def test_task():
    task = yin_yang(count=30, test_count=9)
    assert (task.lines, task.outputs, task.steps) == (5, 3, 90)
    assert isinstance(task.train, Sequences) and isinstance(task.test, Sequences)
    np.testing.assert_array_equal(task.train.labels, draw(42, 30)[1])
    np.testing.assert_array_equal(task.test.labels, draw(40, 9)[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": 30e-3}, "first, last and duration must increase from 0, bias below duration"),
        ({"duration": 30e-3}, "first, last and duration must increase from 0"),
        ({"bias": 50e-3}, "bias below duration, got 0.0, 0.03, 0.045 and 0.05"),
        ({"last": 30.2e-3}, "last must be a multiple of dt = 0.0005 s, got 0.0302 s"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        YinYang(**change)


def test_an_empty_set_is_refused():
    with pytest.raises(UsageError, match="test_count must be at least 1, got 0"):
        yin_yang(count=1, test_count=0)
