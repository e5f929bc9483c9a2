import numpy as np
from sklearn.datasets import load_digits

from tracegrad.data.datasets.digits import DigitEncoding, digits
from tracegrad.data.sequences import Sequences

SCANS, LABELS = load_digits(return_X_y=True)


def members(source) -> tuple[np.ndarray, np.ndarray]:
    assert isinstance(source, Sequences)
    return source.counts, source.labels


def test_split_is_every_fifth_of_a_class():
    task = digits()
    (_, train), (_, test) = members(task.train), members(task.test)
    assert (len(train), len(test)) == (1442, 355)
    for label in range(10):
        total = (LABELS == label).sum()
        assert (test == label).sum() == total // 5 and (train == label).sum() == total - total // 5


def test_first_test_scan_by_hand():
    counts, labels = members(digits().test)
    which = np.flatnonzero(LABELS == LABELS[30])
    first = min(np.flatnonzero(LABELS == label)[4] for label in range(10))
    assert labels[0] == LABELS[first] and len(which) > 4
    # pixel p fires once at step 16 - p, pixel 0 never
    step, line = np.nonzero(counts[0])
    assert counts.max() == 1 and sorted(line) == np.flatnonzero(SCANS[first]).tolist()
    assert (step == 16 - SCANS[first][line]).all()


def test_dark_pixels_are_silent():
    counts, _ = members(digits(DigitEncoding(dark=8)).test)
    first = min(np.flatnonzero(LABELS == label)[4] for label in range(10))
    step, line = np.nonzero(counts[0])
    assert sorted(line) == np.flatnonzero(SCANS[first] > 8).tolist()
    assert (step == 2 * (16 - SCANS[first][line])).all()


def test_task():
    task = digits(DigitEncoding(duration=8e-3, steps=10))
    assert (task.lines, task.outputs, task.dt, task.steps) == (64, 10, 1e-3, 10)
    assert task.classifies and digits().steps == 25
