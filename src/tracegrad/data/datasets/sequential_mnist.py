"""Sequential MNIST: a handwritten digit row by row, or pixel by pixel."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from tracegrad.data.formats.idx import read_idx
from tracegrad.data.recordings import Recording, Recordings, one_class
from tracegrad.data.task import Task
from tracegrad.errors import DataError

CLASSES, SIDE = 10, 28
DT = 1e-3  # seconds a step
PARTS = ("train", "train10k")  # all 60,000 training images, or else the first 10,000


class _Reading(NamedTuple):
    """How an image is read: `steps` of it, in an order, the label counting from step `quiet` on."""

    steps: int
    order: Int[np.ndarray, "784"]
    quiet: int


def sequential_mnist(data: Path) -> Task:
    """Ten digits, 28 lines (the grey values of a row, 0 to 1), 28 steps of 1 ms.

    The label counts at the last eight rows. `data` is the folder of `train-images-idx3-ubyte`,
    `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, each also as
    `.gz`; with `train10k` in place of `train`, of the first 10,000 images. Licence: CC BY-SA 3.0 is
    what is commonly said; the authors state none. Source: LeCun, Cortes, Burges, the MNIST
    database of handwritten digits.

        task = sequential_mnist(Path("mnist"))
    """
    return _task("sequential_mnist", "row by row", data, _Reading(SIDE, np.arange(784), 20))


def sequential_mnist_pixels(data: Path) -> Task:
    """Ten digits, one line (a grey value, 0 to 1), 784 steps of 1 ms.

    The label counts at the last eight rows' 224 steps. Files and licence: `sequential_mnist`.
    Source: Le, Jaitly, Hinton 2015, A simple way to initialize recurrent networks of rectified
    linear units, arXiv 1504.00941.

        task = sequential_mnist_pixels(Path("mnist"))
    """
    reading = _Reading(784, np.arange(784), 560)
    return _task("sequential_mnist_pixels", "pixel by pixel", data, reading)


def permuted_mnist(data: Path) -> Task:
    """The same pixel by pixel in an order that is drawn once, `default_rng(0).permutation(784)`.

    No neighbours are near in time: a test of long memory. The order is ours; the source has one
    of its own. Files and licence: `sequential_mnist`. Source: Le, Jaitly, Hinton 2015.

        task = permuted_mnist(Path("mnist"))
    """
    reading = _Reading(784, np.random.default_rng(0).permutation(784), 560)
    return _task("permuted_mnist", "pixel by pixel in one random order", data, reading)


def _task(name: str, way: str, data: Path, reading: _Reading) -> Task:
    images, labels = _part(data, next((p for p in PARTS if _file(data, p, "images", 3)), PARTS[0]))
    held_out, held_labels = _part(data, "t10k")
    return Task(
        name=name,
        summary=f"10 classes: handwritten digits {way}, {len(images)} for training.",
        lines=784 // reading.steps,
        outputs=CLASSES,
        dt=DT,
        train=Recordings(partial(_read, images, labels, reading), len(images), reading.steps),
        test=Recordings(
            partial(_read, held_out, held_labels, reading), len(held_out), reading.steps
        ),
    )


def _file(data: Path, part: str, what: str, axes: int) -> Path | None:
    plain = data / f"{part}-{what}-idx{axes}-ubyte"
    packed = plain.with_name(f"{plain.name}.gz")
    return next((path for path in (plain, packed) if path.is_file()), None)


def _part(data: Path, part: str) -> tuple[UInt8[np.ndarray, "N 28 28"], UInt8[np.ndarray, "N"]]:
    paths = _file(data, part, "images", 3), _file(data, part, "labels", 1)
    if paths[0] is None or paths[1] is None:
        raise DataError(
            f"{data}: must hold {part}-images-idx3-ubyte and {part}-labels-idx1-ubyte, as they are "
            "or as .gz. Give the folder of the set."
        )
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if images.shape != (len(labels), SIDE, SIDE) or labels.max() >= CLASSES:
        raise DataError(
            f"{data}: {part} must have a label of 0 to 9 for each image of 28 x 28, has "
            f"{labels.shape} labels up to {labels.max()} and {images.shape} images."
        )
    return images, labels


def _read(
    images: UInt8[np.ndarray, "N 28 28"],
    labels: UInt8[np.ndarray, "N"],
    reading: _Reading,
    index: int,
) -> Recording:
    grey = images[index].reshape(784)[reading.order].reshape(reading.steps, -1)
    return one_class(
        np.asarray(grey, np.float32) / np.float32(255), int(labels[index]), reading.quiet
    )
