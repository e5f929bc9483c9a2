import numpy as np
import pytest

from spike_files import recordings, write_spikes
from tracegrad.data.datasets.shd import shd
from tracegrad.data.datasets.spike_files import LINES, SpikeBinning
from tracegrad.data.datasets.ssc import ssc
from tracegrad.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path):
    for name, count, seed in (("train", 7, 0), ("test", 4, 1)):
        for kind in ("shd", "ssc"):
            write_spikes(tmp_path / f"{kind}_{name}.h5", count, seed=seed)
    return tmp_path


@pytest.mark.parametrize(("make", "classes"), [(shd, 20), (ssc, 35)])
def test_reads_both_splits(folder, make, classes):
    task = make(folder)
    assert (task.name, task.lines, task.outputs) == (make.__name__, 700, classes)
    assert (task.dt, task.steps, task.train.size, task.test.size) == (10e-3, 140, 7, 4)
    assert task.classifies and not task.stepwise and "11 spoken" in task.summary


def test_counts_are_the_spikes(folder):
    """Against a plain loop over the events that were written."""
    batch = next(shd(folder).train.batches(7, None))
    for index, (times, units) in enumerate(zip(*recordings(7), strict=True)):
        counts = np.zeros((140, 700))
        for time, unit in zip(times.astype(np.float64), units, strict=True):
            counts[int(round(time * 1e6) // 10000), unit] += 1
        np.testing.assert_array_equal(batch.xs[:, index], counts)
        length = 1 if not len(times) else 1 + np.flatnonzero(counts.any(axis=1))[-1]
        assert batch.valid[:, index].tolist() == [t < length for t in range(140)]
        assert (batch.ys[:length, index] == index % 3).all()
        assert batch.weight[:, index].sum() == pytest.approx(1)


def test_pooling_adds_neighbours(folder):
    plain, pooled = (
        next(shd(folder, SpikeBinning(pool=pool)).train.batches(7, None)).xs for pool in (1, 5)
    )
    np.testing.assert_array_equal(pooled, plain.reshape(140, 7, 140, 5).sum(axis=3))


def test_the_end_is_cut_only_when_asked(folder):
    with pytest.raises(UsageError, match=r"shd_train.h5, recording 1, has events up to .* set cut"):
        list(shd(folder, SpikeBinning(steps=50)).train.batches(7, None))
    cut = next(shd(folder, SpikeBinning(steps=50, cut=True)).train.batches(7, None))
    np.testing.assert_array_equal(cut.xs, next(shd(folder).train.batches(7, None)).xs[:50])


def test_refuses(folder, tmp_path):
    with pytest.raises(DataError, match=r"none: there is no such folder. Give the one that holds"):
        shd(tmp_path / "none")
    with pytest.raises(UsageError, match=f"pool must divide {LINES}, got 3"):
        SpikeBinning(pool=3)
    with pytest.raises(UsageError, match="steps must be at least 1, got 0"):
        SpikeBinning(steps=0)
    write_spikes(folder / "shd_test.h5", 40, classes=36)
    with pytest.raises(DataError, match="shd_test.h5: must have 20 classes, has 36"):
        shd(folder)
    (folder / "ssc_test.h5").unlink()
    with pytest.raises(DataError, match="ssc_test.h5: there is no such file"):
        ssc(folder)
