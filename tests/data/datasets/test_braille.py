from pathlib import Path

import numpy as np
import pytest

from tracegrad.data.datasets.braille import FILE, braille
from tracegrad.data.sequences import Sequences
from tracegrad.errors import DataError

Y = np.array([0, 6, 3, 3], np.uint8)
TEST = np.array([False, True, False, True])


def events() -> np.ndarray:
    return (np.random.default_rng(0).random((4, 256, 12)) < 0.2).astype(np.uint8)


def write(folder: Path, **change: np.ndarray) -> Path:
    np.savez_compressed(folder / FILE, **({"x": events(), "y": Y, "test": TEST} | change))
    return folder / FILE


def test_reads_the_split(tmp_path):
    path = write(tmp_path)
    for task in (braille(path), braille(tmp_path)):
        assert (task.lines, task.outputs, task.dt, task.steps) == (12, 7, 5e-3, 256)
        assert isinstance(task.train, Sequences) and isinstance(task.test, Sequences)
        np.testing.assert_array_equal(task.train.counts, events()[[0, 2]])
        np.testing.assert_array_equal(task.test.counts, events()[[1, 3]])
        assert task.train.labels.tolist() == [0, 3] and task.test.labels.tolist() == [6, 3]
        assert (task.train.lengths == 256).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": events()[:, :255]}, r"x must be uint8 of shape \(any, 256, 12\), got uint8"),
        ({"x": events().astype(float)}, "x must be uint8 .* got float64"),
        ({"y": Y[:3]}, "x, y and test must be equally long, got 4, 3 and 4"),
        ({"x": events() + np.uint8(1)}, "x must hold 0 and 1, y 0 to 6"),
        ({"y": Y + np.uint8(1)}, "x must hold 0 and 1, y 0 to 6"),
        ({"test": ~TEST | TEST}, "test must mark some sequences, and not all"),
        ({"test": TEST & ~TEST}, "test must mark some sequences, and not all"),
        ({"x": events()[:0], "y": Y[:0], "test": TEST[:0]}, "test must mark some sequences"),
    ],
)
def test_refuses(tmp_path, change, message):
    write(tmp_path, **change)
    with pytest.raises(DataError, match=f"{FILE}: {message}"):
        braille(tmp_path)


def test_refuses_a_cut_file(tmp_path):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{FILE}: is no readable npz file"):
        braille(path)


def test_refuses_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match=f"{FILE}: there is no such file"):
        braille(tmp_path)


def test_the_real_set(shared):
    if not (path := shared / "braille_letters" / FILE).is_file():
        pytest.skip(f"no {path}")
    task = braille(path)
    assert isinstance(task.train, Sequences) and isinstance(task.test, Sequences)
    assert np.bincount(task.train.labels).tolist() == [122, 132, 124, 130, 120, 127, 123]
    assert np.bincount(task.test.labels).tolist() == [40] * 7
    assert task.train.counts.mean() == pytest.approx(0.226, abs=5e-4)
