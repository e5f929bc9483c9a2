"""Shifted: sequences move as a whole, by every shift as often, and only when they are drawn."""

import numpy as np
import pytest

from tracegrad.data import Sequences
from tracegrad.data.shifted import Shifted
from tracegrad.errors import UsageError

SHAPE, STEPS, COUNT = (2, 5, 4), 3, 60


def source():
    """One pixel of each channel, in the middle, at other times for each sequence."""
    counts = np.zeros((COUNT, STEPS, *SHAPE), np.uint8)
    for index, sequence in enumerate(counts):
        sequence[index % STEPS, 0, 2, 1] = 1
        sequence[:, 1, 2, 2] = index % 5
    labels = np.arange(COUNT) % 3
    return Sequences(counts.reshape(COUNT, STEPS, -1), np.full(COUNT, STEPS), labels, 3)


def test_both_channels_and_all_steps_move_together_by_every_shift():
    plain, moved = source(), Shifted(source(), SHAPE, 1)
    assert moved.size == COUNT
    old, new = (next(s.batches(COUNT, np.random.default_rng(0))) for s in (plain, moved))
    assert all((getattr(old, k) == getattr(new, k)).all() for k in ("ys", "weight", "valid"))
    shifts = set()
    for a, b in zip(old.xs.swapaxes(0, 1), new.xs.swapaxes(0, 1), strict=True):
        before, after = a.reshape(STEPS, *SHAPE), b.reshape(STEPS, *SHAPE)
        (step, _, row, column), *_ = np.argwhere(after[:, :1])
        by = (row - 2, column - 1)
        np.testing.assert_array_equal(after, np.roll(before, by, axis=(2, 3)))
        shifts.add(tuple(map(int, by)))
    assert shifts == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_what_leaves_the_map_is_lost():
    moved = Shifted(source(), SHAPE, 3)
    sums = {int(batch.xs.sum()) for batch in moved.batches(1, np.random.default_rng(1))}
    assert 0 in sums


def test_without_a_generator_nothing_moves():
    old, new = (next(s.batches(9, None)) for s in (source(), Shifted(source(), SHAPE, 1)))
    assert (old.xs == new.xs).all()


@pytest.mark.parametrize("most", [0, 4])
def test_a_shift_by_nothing_or_the_whole_map_is_refused(most):
    with pytest.raises(UsageError, match="at least 1 pixel and less than the map of 5 x 4"):
        Shifted(source(), SHAPE, most)
