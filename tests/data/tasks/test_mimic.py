import numpy as np
import pytest

from tracegrad.data.tasks.mimic import Mimic, Teacher, mimic, says
from tracegrad.errors import UsageError


def test_the_teacher_by_hand():
    teacher = Teacher(np.array([[1.0]]), np.array([[0.5]]), np.array([[2.0], [0.0]]))
    y = says(teacher, np.array([[[1.0]], [[0.0]]]))
    first = np.tanh(1.0)
    second = np.tanh(0.5 * first)
    expected = [1 / (1 + np.exp(-2 * h)) for h in (first, second)]
    np.testing.assert_allclose(y[:, 0, 0], expected)
    np.testing.assert_allclose(y.sum(axis=2), 1.0)


def test_labels_follow_what_the_teacher_says_and_floors_are_reached():
    settings = Mimic(lines=2, units=8, outputs=3, steps=150)
    teacher = settings.teacher(0)
    batch = settings.sample(teacher, np.random.default_rng(0), 200)
    y = says(teacher, batch.xs.astype(float))
    counts = np.stack([(batch.ys == k).mean() for k in range(3)])
    assert (np.abs(counts - y.mean(axis=(0, 1))) < 4 * 0.5 / 30_000**0.5).all()
    loss = -np.log(np.take_along_axis(y, batch.ys[:, :, None], axis=2))
    floors = settings.floors(teacher)
    # 2 % more than 4 standard errors of the draws: the floor is measured on other input
    assert abs(loss.mean() - floors["teacher"]) < 4 * loss.std() / loss.size**0.5 + 0.01
    assert floors["teacher"] < floors["constant"] - 0.02 and floors["constant"] <= np.log(3)
    assert (batch.weight == np.float32(1 / 150)).all()


def test_the_seed_draws_the_teacher():
    first, same, other = (Mimic().teacher(seed) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, same, strict=True))
    assert (first.recurrent != other.recurrent).any()
    assert first.recurrent.std() == pytest.approx(1 / 32**0.5, rel=0.1)
    task = mimic(Mimic(steps=20), count=3, test_count=2)
    assert (task.lines, task.outputs, task.steps, task.stepwise) == (4, 2, 20, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": 0}, "lines must be at least 1, got 0"),
        ({"outputs": 1}, "outputs must be at least 2, got 1"),
        ({"gain": -1.0}, "gain and sharpness must not be negative, got -1.0 and 4.0"),
        ({"dt": 0.0}, "dt must be a positive whole number of microseconds"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        Mimic(**change)
