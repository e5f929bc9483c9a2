import gzip

import numpy as np
import pytest

from event_files import idx_bytes
from tracegrad.data.datasets.sequential_mnist import (
    permuted_mnist,
    sequential_mnist,
    sequential_mnist_pixels,
)
from tracegrad.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 9], np.uint8)


def write(folder, part, images, labels):
    (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "train10k", IMAGES[:3], LABELS[:3])
    write(tmp_path, "t10k", IMAGES[3:], LABELS[3:])
    return tmp_path


@pytest.mark.parametrize(
    ("make", "steps", "quiet"),
    [(sequential_mnist, 28, 20), (sequential_mnist_pixels, 784, 560), (permuted_mnist, 784, 560)],
)
def test_reads_the_grey_values(folder, make, steps, quiet):
    task = make(folder)
    assert (task.name, task.lines, task.steps) == (make.__name__, 784 // steps, steps)
    assert (task.outputs, task.train.size, task.test.size) == (10, 3, 2)
    batch = next(task.train.batches(3, None))
    assert batch.ys[0].tolist() == LABELS[:3].tolist() and batch.valid.all()
    counts = (np.arange(steps) >= quiet) / (steps - quiet)
    np.testing.assert_allclose(batch.weight, np.tile(counts[:, None], 3), rtol=1e-6)
    order = np.arange(784)
    if make is permuted_mnist:
        order = np.random.default_rng(0).permutation(784)
    seen = batch.xs.transpose(1, 0, 2).reshape(3, 784)
    np.testing.assert_allclose(seen, IMAGES[:3].reshape(3, 784)[:, order] / 255, rtol=1e-6)


def test_all_training_images_before_the_first_ten_thousand(folder):
    write(folder, "train", IMAGES, LABELS)
    task = sequential_mnist(folder)
    assert task.train.size == 5 and "5 for training" in task.summary


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:3], LABELS, "t10k must have a label of 0 to 9 for each image"),
        (IMAGES, LABELS + 1, "t10k must have a label of 0 to 9 for each image"),
        (IMAGES[:, :27], LABELS, "t10k must have a label of 0 to 9 for each image"),
    ],
)
def test_refuses(folder, images, labels, message):
    write(folder, "t10k", images, labels)
    with pytest.raises(DataError, match=message):
        sequential_mnist(folder)


def test_refuses_a_missing_file(folder, tmp_path):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="must hold t10k-images-idx3-ubyte and t10k-labels-idx1"):
        sequential_mnist(folder)
    with pytest.raises(DataError, match="must hold train-images-idx3-ubyte"):
        sequential_mnist(tmp_path / "none")


def test_real_digits(shared):
    task = sequential_mnist(shared / "mnist")
    assert (task.train.size, task.test.size) == (10000, 10000)
    first = next(task.train.batches(1, None)).xs
    assert round(float(first.sum() * 255)) == 27525
