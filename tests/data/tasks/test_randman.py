import numpy as np
import pytest

from tracegrad.data.sequences import Sequences
from tracegrad.data.tasks.randman import (
    Randman,
    bounded_spectrum,
    manifold,
    power_spectrum,
    randman,
    randman_rate,
)
from tracegrad.errors import UsageError

SMALL = Randman(classes=3, lines=4, steps=20, alpha=2.0, samples=50)


def test_spectra_by_hand():
    frequency = np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(bounded_spectrum(frequency, 2.0), [1 / 2, 1 / 5, 1 / 10])
    np.testing.assert_allclose(power_spectrum(frequency, 2.0), [1, 1 / 4, 1 / 9])


def test_a_manifold_by_hand():
    # Two axes of two frequencies; frequency 0 has amplitude 0, so each axis is one sine:
    # 0.5 s sin(2 pi (0.5 x + 0.25)) and 1 s sin(2 pi (1 x + 0)), s = 0.2.
    theta = np.array([[[[0, 0.5], [0.9, 0.5], [0.3, 0.25]], [[0, 1], [0, 1], [0, 0]]]], float)
    points = np.array([[0.0, 0.25], [0.5, 0.25], [0.25, 0.5]])
    y = manifold(points, theta, np.array([0.5, 0.2]))
    # cos(pi x1) / 10 times sin(2 pi x2) / 5
    np.testing.assert_allclose(y[:, 0], [0.02, 0.0, 0.0], atol=1e-7)


def test_many_points_and_frequencies_against_the_equation_in_double_precision():
    rng = np.random.default_rng(0)
    theta, points = rng.random((3, 2, 3, 300)), rng.random((45, 2))
    spectrum = bounded_spectrum(np.arange(300.0), 1.0)
    wave = np.sin(
        2 * np.pi * (np.arange(300) * points[:, None, :, None] * theta[:, :, 1] + theta[:, :, 2])
    )
    expected = (theta[:, :, 0] * spectrum * wave).sum(axis=3).prod(axis=2)
    np.testing.assert_allclose(manifold(points, theta, spectrum), expected, atol=2e-6)


def test_coordinates_fill_the_unit_interval_and_alpha_makes_them_smooth():
    """Variation along the manifold, of the points sorted: small where alpha is large."""

    def roughness(alpha: float) -> float:
        one = Randman(alpha=alpha, samples=400, lines=8)
        rng = np.random.default_rng(0)
        y = one.coordinates(rng)
        assert y.min() == 0 and y.max() == 1 and y.shape == (400, 8)
        again = np.random.default_rng(0)
        again.random((8, 1, 3, min(round(10 ** (3 / alpha)), 1000)))
        x = again.random((400, 1))[:, 0]
        return float(np.abs(np.diff(y[np.argsort(x)], axis=0)).mean())

    assert 3 * roughness(3.0) < roughness(1.0)


def test_every_unit_spikes_once_a_manifold_in_its_share_of_the_steps():
    for spikes in (1, 2):
        counts = Randman(**{**vars(SMALL), "spikes": spikes}).times(np.random.default_rng(0))
        assert counts.shape == (150, 20, 4) and (counts.sum(axis=1) == spikes).all()
        assert not counts[:, 11:].any()
    first = SMALL.coordinates(np.random.default_rng(0))  # of class 0
    step = SMALL.times(np.random.default_rng(0))[:50].argmax(axis=1)
    np.testing.assert_array_equal(step, np.floor(10 * first))


def test_rates_follow_the_coordinates():
    one = Randman(classes=2, lines=3, steps=2000, samples=2, alpha=3.0, rate=400.0, dt=1e-3)
    spikes = one.rates(np.random.default_rng(0))
    rng = np.random.default_rng(0)
    chance = 0.4 * np.concatenate([one.coordinates(rng) for _ in range(2)])
    assert not spikes[:, 1000:].any()
    # 4 standard deviations of a mean over 1000 steps
    assert (np.abs(spikes[:, :1000].mean(axis=1) - chance) < 4 * (0.25 / 1000) ** 0.5).all()


def test_tasks():
    for make, name in ((randman, "randman"), (randman_rate, "randman_rate")):
        task = make(SMALL, seed=1)
        assert (task.name, task.lines, task.outputs, task.steps) == (name, 4, 3, 20)
        assert isinstance(task.train, Sequences) and isinstance(task.test, Sequences)
        assert np.bincount(task.train.labels).tolist() == [40] * 3
        assert np.bincount(task.test.labels).tolist() == [10] * 3
        (batch,) = task.test.batches(30, None)
        assert not batch.weight[:10].any() and (batch.weight[10:] == np.float32(0.1)).all()
        assert task.floors == {"chance": pytest.approx(np.log(3))}
        other = make(SMALL, seed=2).train
        assert isinstance(other, Sequences) and (other.counts != task.train.counts).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 1}, "classes must be at least 2, got 1"),
        ({"lines": 0}, "lines must be at least 1, got 0"),
        ({"samples": 1}, "samples must be at least 2, got 1"),
        (
            {"alpha": 0.0},
            r"alpha must be positive and share lie in \[1/steps, 1\), got 0.0 and 0.5",
        ),
        (
            {"share": 1.0},
            r"alpha must be positive and share lie in \[1/steps, 1\), got 1.0 and 1.0",
        ),
        ({"rate": 501.0}, r"rate must lie in \[0.0, 500.0\], got 501.0"),
        ({"dt": 0.0}, "dt must be a positive whole number of microseconds"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        Randman(**change)
