"""ECG waves, Japanese vowels, basic motions: npz files."""

import numpy as np
import pytest

from tracegrad.data.datasets import ecg_qtdb as ecg
from tracegrad.data.datasets.ecg_qtdb import ecg_qtdb, ecg_qtdb_published
from tracegrad.data.datasets.ucr_small import basic_motions, japanese_vowels
from tracegrad.data.task import joined
from tracegrad.errors import DataError


def ecg_arrays(**change):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 3), ("test", 2)):
        x = rng.integers(0, 2, (count, 1301, 4)).astype(np.int8)
        x[:, 1300, 0] = -1
        blank = np.zeros((count, 1301), np.uint8)
        blank[0, :100] = 1
        arrays |= {
            f"x_{part}": x,
            f"y_{part}": rng.integers(0, 6, (count, 1301)).astype(np.uint8),
            f"unlabelled_{part}": np.packbits(blank, axis=1),
        }
    return arrays | change


@pytest.mark.parametrize(("make", "first"), [(ecg_qtdb, 100), (ecg_qtdb_published, 10)])
def test_ecg(tmp_path, make, first):
    arrays = ecg_arrays()
    np.savez(tmp_path / ecg.FILE, **arrays)
    task = make(tmp_path)
    assert (task.name, task.lines, task.outputs, task.dt) == (make.__name__, 4, 6, 4e-3)
    assert task.stepwise and (task.steps, task.train.size, task.test.size) == (1300, 3, 2)
    batch = next(task.train.batches(3, None))
    np.testing.assert_array_equal(batch.xs, arrays["x_train"][:, :1300].transpose(1, 0, 2))
    for column, start in ((0, first), (1, 10)):
        counts = np.arange(1300) >= start
        np.testing.assert_allclose(batch.weight[:, column], counts / counts.sum(), rtol=1e-6)
        labels = arrays["y_train"][column, start:1300]
        np.testing.assert_array_equal(batch.ys[start:, column], labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.zeros((2, 1301), np.uint8)}, "of train must be equally long, got 3, 2"),
        ({"y_test": np.full((2, 1301), 6, np.uint8)}, "x must hold 0 and 1, y 0 to 5"),
        ({"x_test": np.full((2, 1301, 4), -1, np.int8)}, "x must hold 0 and 1, y 0 to 5"),
        ({"x_test": np.zeros((2, 1301, 4))}, "x_test must be int8"),
        ({"unlabelled_test": np.full((2, 163), 255, np.uint8)}, "of test has no label at all"),
    ],
)
def test_ecg_refuses(tmp_path, change, message):
    np.savez(tmp_path / ecg.FILE, **ecg_arrays(**change))
    with pytest.raises(DataError, match=f"{ecg.FILE}: .*{message}"):
        ecg_qtdb(tmp_path)


def test_the_real_ecg(shared):
    task = ecg_qtdb(shared / "ecg_qtdb")
    assert (task.train.size, task.test.size) == (618, 141)
    held = joined(task.train.batches(618, None))
    labelled = (held.weight > 0).mean() * 1300 / 1290
    assert 0.9 < labelled < 0.94  # 8 % have no label
    assert np.unique(held.ys[held.weight > 0]).tolist() == [0, 1, 2, 3, 4, 5]
    assert 0 < held.xs.mean() < 0.2


def ucr_arrays(channels, lengths, classes, **change):
    rng = np.random.default_rng(0)
    arrays = {}
    for part in ("train", "test"):
        arrays |= {
            f"x_{part}": rng.normal(3, 2, (sum(lengths), channels)).astype(np.float32),
            f"offset_{part}": np.cumsum([0, *lengths]),
            f"y_{part}": (np.arange(len(lengths)) % classes).astype(np.uint8),
        }
    return arrays | change


def test_vowels_are_scaled_by_the_training_set(tmp_path):
    arrays = ucr_arrays(12, [7, 29, 11], 9)
    np.savez(tmp_path / "JapaneseVowels.npz", **arrays)
    task = japanese_vowels(tmp_path)
    assert (task.name, task.lines, task.outputs, task.dt) == ("japanese_vowels", 12, 9, 6.4e-3)
    assert (task.steps, task.train.size, task.test.size) == (29, 3, 3)
    train, test = (next(source.batches(3, None)) for source in (task.train, task.test))
    assert train.valid.sum(axis=0).tolist() == [7, 29, 11] and train.ys[0].tolist() == [0, 1, 2]
    values = train.xs[train.valid]
    np.testing.assert_allclose(
        [values.mean(axis=0), values.std(axis=0)], [[0] * 12, [1] * 12], atol=1e-5
    )
    mean, spread = arrays["x_train"].mean(axis=0), arrays["x_train"].std(axis=0)
    np.testing.assert_allclose(
        test.xs[:7, 0], (arrays["x_test"][:7] - mean) / spread, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset_train": np.array([0, 101])}, "offset_train must cut x into a series of 1 to 100"),
        ({"offset_train": np.array([0, 5, 5])}, "offset_train must cut x into a series of 1 to 10"),
        ({"offset_train": np.array([0, 90, 80])}, "offset_train must cut x into a series of 1"),
        ({"y_test": np.array([0, 4], np.uint8)}, "x must be finite and y 0 to 3"),
        ({"x_test": np.full((80, 6), np.nan, np.float32)}, "x must be finite and y 0 to 3"),
        ({"x_train": np.ones((80, 6), np.float32)}, "a line never changes in training"),
        ({"x_train": np.ones((80, 5), np.float32)}, "x_train must be float32 of shape"),
    ],
)
def test_motions_refuse(tmp_path, change, message):
    np.savez(tmp_path / "BasicMotions.npz", **ucr_arrays(6, [50, 30], 4, **change))
    with pytest.raises(DataError, match=f"BasicMotions.npz: .*{message}"):
        basic_motions(tmp_path)


def test_the_real_series(shared):
    vowels, motions = japanese_vowels(shared / "ucr_small"), basic_motions(shared / "ucr_small")
    assert (vowels.train.size, vowels.test.size) == (270, 370)
    assert (motions.train.size, motions.test.size, motions.steps) == (40, 40, 100)
    batch = next(motions.test.batches(40, None))
    assert batch.valid.all() and np.bincount(batch.ys[0]).tolist() == [10] * 4
