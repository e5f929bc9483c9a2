from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracegrad.data.sampler import Sampler
from tracegrad.data.sequences import Sequences, compact
from tracegrad.data.task import Batch, Task
from tracegrad.errors import UsageError

STEPS, LINES = 6, 3


def recorded(number: int) -> Sequences:
    """Sequence i has length 1 + i mod 6, and the count i + 1 on line 0 in each of its steps."""
    lengths = 1 + np.arange(number) % STEPS
    counts = np.zeros((number, STEPS, LINES), np.uint8)
    for i, length in enumerate(lengths):
        counts[i, :length, 0] = i + 1
    return Sequences(counts, lengths, np.arange(number) % 4, classes=4)


def noise(rng: np.random.Generator, batch: int) -> Batch:
    ones = np.ones((STEPS, batch))
    xs = rng.random((STEPS, batch, LINES)).astype(np.float32)
    return Batch(xs, xs[..., :2], ones.astype(np.float32), ones.astype(bool))


rngs = st.one_of(st.none(), st.integers(0, 99).map(np.random.default_rng))


@given(st.integers(1, 25), st.integers(1, 9), rngs)
def test_every_sequence_once_and_padding_counts_nothing(number, size, rng):
    source = recorded(number)
    seen = []
    for xs, ys, weight, valid in source.batches(size, rng):
        assert xs.shape == (STEPS, size, LINES) and xs.dtype == np.uint8
        assert ys.shape == weight.shape == valid.shape == (STEPS, size)
        assert (ys.dtype, weight.dtype, valid.dtype) == (np.int32, np.float32, np.bool_)
        assert not weight[~valid].any() and not xs[~valid].any() and (weight[valid] > 0).all()
        real = valid.any(axis=0)
        np.testing.assert_allclose(weight.sum(axis=0), real, rtol=1e-6)
        which = xs[0, real, 0].astype(int) - 1
        assert (valid[:, real].sum(axis=0) == source.lengths[which]).all()
        assert (ys[0, real] == source.labels[which]).all()
        assert (ys[valid] == np.broadcast_to(ys[0], ys.shape)[valid]).all()
        seen += which.tolist()
    assert sorted(seen) == list(range(number))
    assert rng is not None or seen == sorted(seen)


def test_shuffling_follows_its_rng():
    orders = [
        [b.xs[0, :, 0].tolist() for b in recorded(12).batches(4, np.random.default_rng(seed))]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_a_batch_by_hand():
    counts = np.array([[[2, 0], [0, 1]], [[7, 0], [0, 0]]], np.uint8)
    source = Sequences(counts, np.array([2, 1]), np.array([1, 3]), classes=4)
    (batch,) = source.batches(3, None)
    assert batch.xs.tolist() == [[[2, 0], [7, 0], [0, 0]], [[0, 1], [0, 0], [0, 0]]]
    assert batch.ys.tolist() == [[1, 3, 0], [1, 0, 0]]
    assert batch.weight.tolist() == [[0.5, 1, 0], [0.5, 0, 0]]
    assert batch.valid.tolist() == [[True, True, False], [True, False, False]]


def test_quiet_steps_have_no_weight():
    source = replace(recorded(4), lengths=np.array([3, 4, 6, 6]), quiet=2)
    (batch,) = source.batches(4, None)
    assert batch.weight.T.tolist() == [
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0.5, 0.5, 0, 0],
        [0, 0, 0.25, 0.25, 0.25, 0.25],
        [0, 0, 0.25, 0.25, 0.25, 0.25],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quiet": 1}, r"quiet must lie in \[0, 1\), below every length, got 1"),
        ({"quiet": -1}, r"quiet must lie in \[0, 1\), below every length, got -1"),
        ({"counts": np.ones((5, STEPS, LINES), np.int64)}, r"counts must be uint8 .* got int64"),
        ({"counts": np.ones((5, STEPS), np.uint8)}, r"counts must be uint8 .* got uint8 \(5, 6\)"),
        ({"counts": np.ones((0, STEPS, LINES), np.uint8)}, "with N at least 1"),
        ({"lengths": np.ones(5)}, r"lengths must be \(5,\) integers, got float64 \(5,\)"),
        ({"labels": np.zeros(4, int)}, r"labels must be \(5,\) integers, got int64 \(4,\)"),
        ({"lengths": np.zeros(5, int)}, r"lengths must lie in \[1, 6\], got 0 to 0"),
        ({"lengths": np.full(5, 7)}, r"lengths must lie in \[1, 6\], got 7 to 7"),
        ({"labels": np.arange(5)}, r"labels must lie in \[0, 3\], got 0 to 4"),
        ({"labels": np.arange(5) - 2}, r"labels must lie in \[0, 3\], got -2 to 2"),
        ({"lengths": np.array([1, 2, 2, 4, 5])}, "Sequence 2 has spikes after its end"),
    ],
)
def test_sequences_refuse(as_user, change, message):
    with pytest.raises(UsageError, match=message):
        replace(recorded(5), **change)


def test_compact_keeps_values():
    small = compact(np.array([0.0, 255.0]))
    assert small.dtype == np.uint8 and small.tolist() == [0, 255]


@pytest.mark.parametrize("value", [256.0, -1.0, 0.5, np.nan])
def test_compact_refuses(value):
    with pytest.raises(UsageError, match=r"Counts must be whole numbers in \[0, 255\]"):
        compact(np.array([value, 1.0]))


@given(st.integers(1, 20), st.integers(1, 9))
def test_sampler_draws_its_count(count, size):
    batches = list(Sampler(noise, count).batches(size, np.random.default_rng(0)))
    assert {b.xs.shape for b in batches} == {(STEPS, size, LINES)}
    real = np.concatenate([b.valid.any(axis=0) for b in batches])
    weight = np.concatenate([b.weight[0] for b in batches])
    assert real.sum() == count and (weight == real).all()
    drawn = np.concatenate([b.xs[0, :, 0] for b in batches])[real]
    assert len(set(drawn)) == count


def test_sampler_is_new_with_an_rng_and_fixed_without():
    source, rng = Sampler(noise, 4), np.random.default_rng(0)
    fixed = [next(source.batches(size, None)).xs[:, :2] for size in (2, 2, 3)]
    np.testing.assert_array_equal(fixed[0], fixed[1])
    np.testing.assert_array_equal(fixed[0], fixed[2])  # whatever the batch size
    first, second = (next(source.batches(2, rng)).xs for _ in range(2))
    assert (first != second).any()
    assert (next(Sampler(noise, 4, seed=1).batches(2, None)).xs != fixed[0]).any()


def test_sampler_refuses_an_empty_epoch():
    with pytest.raises(UsageError, match="count must be at least 1 sequence an epoch, got 0"):
        Sampler(noise, 0)


@pytest.mark.parametrize("source", [recorded(3), Sampler(noise, 3)])
def test_batch_size_is_refused_at_once(source):
    with pytest.raises(UsageError, match="batch size must be at least 1, got 0"):
        source.batches(0, None)


def test_task_tells_classes_from_values():
    classes = Task("a", "", LINES, 4, 1e-3, recorded(3), recorded(3))
    values = Task("b", "", LINES, 2, 1e-3, Sampler(noise, 3), Sampler(noise, 3))
    assert classes.classifies and not values.classifies
    assert classes.steps == values.steps == STEPS


def test_task_refuses_a_source_that_does_not_fit():
    with pytest.raises(UsageError, match="Task a has 5 lines, its source delivers 3"):
        Task("a", "", 5, 4, 1e-3, recorded(3), recorded(3))
    with pytest.raises(UsageError, match="Task b has 4 outputs, its source delivers 2"):
        Task("b", "", LINES, 4, 1e-3, Sampler(noise, 3), Sampler(noise, 3))


def test_a_stream_is_the_training_sequences_without_their_padding():
    source = recorded(3)  # lengths 1, 2, 3 with counts 1, 2, 3
    task = Task("a", "", LINES, 4, 1e-3, source, source)
    steps = list(islice(task.stream(7), 12))
    rng, expected = np.random.default_rng(7), []
    for _ in range(2):
        for i in rng.permutation(3):
            expected += [(i + 1, source.labels[i], np.float32(1 / (i + 1)))] * (i + 1)
    assert [(step.x[0], step.y, step.weight) for step in steps] == expected
    assert {step.x.shape for step in steps} == {(LINES,)}
    again = [step.x.tolist() for step in islice(task.stream(7), 12)]
    assert again == [step.x.tolist() for step in steps]


def test_a_stream_of_values():
    task = Task("b", "", LINES, 2, 1e-3, Sampler(noise, 3), Sampler(noise, 3))
    x, y, weight = next(task.stream(0))
    assert x.shape == (LINES,) and y.shape == (2,) and weight == 1


def test_a_sample_follows_its_seed():
    task = Task("b", "", LINES, 2, 1e-3, Sampler(noise, 3), Sampler(noise, 3))
    first, same, other = (task.sample(seed).xs for seed in (0, 0, 1))
    assert first.shape == (STEPS, 1, LINES) and (first == same).all() and (first != other).any()


def test_a_task_has_a_level_only_with_a_curriculum():
    task = Task("b", "", LINES, 2, 1e-3, Sampler(noise, 3), Sampler(noise, 3))
    assert task.level is None and task.floors == {} and not task.stepwise
