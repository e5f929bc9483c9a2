"""The three copy tasks: what goes in comes back, at the right steps; floors by hand."""

import math

import numpy as np
import pytest

from tracegrad.data.tasks.copy_curriculum import CopyCurriculum, copy_curriculum
from tracegrad.data.tasks.copy_memory import CopyMemory, copy_memory
from tracegrad.data.tasks.copy_pattern import CopyPattern, copy_pattern
from tracegrad.errors import UsageError


def test_a_pattern_comes_back_after_the_stop_signal():
    batch = CopyPattern(bits=3, length=4, pad=2).sample(np.random.default_rng(0), 500)
    assert batch.xs.shape == (11, 500, 4) and batch.ys.shape == (11, 500, 3)
    bits, stop = batch.xs[:, :, :3], batch.xs[:, :, 3]
    assert not bits[4:].any() and not batch.ys[:7].any()
    np.testing.assert_array_equal(batch.ys[7:], bits[:4])
    assert (stop[6] == 1).all() and stop.sum() == 500
    assert not batch.weight[:7].any() and (batch.weight[7:] == 0.25).all()
    assert abs(bits[:4].mean() - 0.5) < 4 * 0.5 / 6000**0.5
    # Always 1/2: the loss of a step is half the sum of three squares of 1/2.
    assert copy_pattern(CopyPattern(bits=3)).floors == {"no memory": 0.375}


def test_symbols_come_back_after_the_cue():
    batch = CopyMemory(alphabet=3, length=2, delay=4).sample(np.random.default_rng(0), 600)
    assert batch.xs.shape == (8, 600, 5) and (batch.xs.sum(axis=2) == 1).all()
    shown = batch.xs.argmax(axis=2)  # 0 blank, 1 to 3 symbols, 4 cue
    assert (shown[5] == 4).all() and not shown[[2, 3, 4, 6, 7]].any()
    assert not batch.ys[:6].any()
    np.testing.assert_array_equal(batch.ys[6:], shown[:2])
    assert set(np.unique(shown[:2])) == {1, 2, 3}
    assert (batch.weight == 1 / 8).all()


def test_the_floor_of_copy_memory_is_that_of_the_best_guess():
    """Blank for sure where it is due, else all symbols alike: measured on draws."""
    settings = CopyMemory(alphabet=3, length=2, delay=4)
    batch = settings.sample(np.random.default_rng(0), 3)
    guess = np.zeros((8, 3, 4))
    guess[:6, :, 0], guess[6:, :, 1:] = 1.0, 1 / 3
    chosen = np.take_along_axis(guess, batch.ys[:, :, None], axis=2)[:, :, 0]
    loss = (batch.weight * -np.log(chosen)).sum(axis=0)
    np.testing.assert_allclose(loss, settings.floor, rtol=1e-6)
    assert CopyMemory(delay=100).floor == pytest.approx(10 * math.log(8) / 120)
    task = copy_memory(settings)
    assert (task.lines, task.outputs, task.stepwise) == (5, 4, True)


def test_a_curriculum_sequence_by_hand():
    settings = CopyCurriculum(longest=8)
    rng, lengths = np.random.default_rng(0), set()
    for _ in range(200):
        xs, ys, weight, valid = (a[:, 0] for a in settings.sample(rng, level=7))
        (go,) = np.flatnonzero(xs[:, 2])
        assert xs[:go, :2].sum(axis=1).tolist() == [1] * go and not xs[go + 1 :].any()
        np.testing.assert_array_equal(ys[go + 1 : 2 * go + 1], xs[:go, 1])
        assert valid.tolist() == [True] * (2 * go + 1) + [False] * (16 - 2 * go)
        asked = np.flatnonzero(weight)
        assert asked.tolist() == list(range(go + 1, 2 * go + 1))
        assert (weight[asked] == np.float32(1 / go)).all()
        lengths.add(int(go))
    assert lengths == {2, 3, 4, 5, 6, 7}


def test_a_curriculum_grows_one_character_when_it_is_learned():
    task = copy_curriculum(CopyCurriculum(start=3, longest=5), count=40, test_count=20)
    assert (task.level, task.stepwise, task.steps) == (3, True, 11)
    assert task.curriculum is not None and task.curriculum.after(0.2) is None  # 0.29 bits
    harder = task.curriculum.after(0.1)  # 0.144 bits
    assert harder is not None and harder.level == 4 and harder.steps == 11

    def longest(task) -> int:
        return max(int(b.valid.sum() - 1) // 2 for b in task.train.batches(1, None))

    assert (longest(task), longest(harder)) == (3, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CopyPattern(bits=0), "bits must be at least 1, got 0"),
        (lambda: CopyPattern(pad=-1), "pad must be at least 0, got -1"),
        (lambda: CopyMemory(alphabet=1), "alphabet must be at least 2, got 1"),
        (lambda: CopyMemory(delay=0), "delay must be at least 1, got 0"),
        (lambda: CopyCurriculum(start=0), "start must be at least 1, got 0"),
        (lambda: copy_curriculum(CopyCurriculum(start=9, longest=8)), "level must be at most"),
        (lambda: CopyMemory(dt=0.0), "dt must be a positive whole number of microseconds"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(UsageError, match=message):
        make()
