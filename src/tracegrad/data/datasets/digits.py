"""Digits: 1797 scans of handwritten digits, 8 x 8 pixels, which come with scikit-learn."""

from dataclasses import dataclass

import numpy as np

from tracegrad.data.encode import bin_events, latency
from tracegrad.data.sequences import Sequences, compact
from tracegrad.data.task import Task

PIXELS, BRIGHTEST, CLASSES = 64, 16.0, 10


@dataclass(frozen=True)
class DigitEncoding:
    """Latency code: pixel p of 16 fires once at (1 - p/16) `duration`; p at most `dark` is silent.

    The steps after `duration` (seconds) are quiet and leave the network time to answer.
    """

    duration: float = 16e-3
    dark: int = 0
    steps: int = 25
    dt: float = 1e-3


def digits(encoding: DigitEncoding = DigitEncoding()) -> Task:
    """Ten classes; 64 lines, one spike a bright pixel, the brighter the earlier; no download.

    Split: of each class, in the order of the set, every fifth scan is a test scan (about 80/20 and
    stratified). Source: Alpaydin and Kaynak 1998, UCI optical digits, test part.

        task = digits()
    """
    from sklearn.datasets import load_digits  # here: it takes a second and a half to import

    scans, labels = load_digits(return_X_y=True)
    counts = np.stack([_encode(scan, encoding) for scan in scans])
    test = _every_fifth(labels)
    train, held_out = (
        Sequences(counts[mask], np.full(mask.sum(), encoding.steps), labels[mask], CLASSES)
        for mask in (~test, test)
    )
    return Task(
        name="digits",
        summary="10 classes: 8 x 8 scans of handwritten digits, one spike a pixel.",
        lines=PIXELS,
        outputs=CLASSES,
        dt=encoding.dt,
        shape=(1, 8, 8),
        train=train,
        test=held_out,
    )


def _encode(scan: np.ndarray, encoding: DigitEncoding) -> np.ndarray:
    events = latency(scan / BRIGHTEST, encoding.duration, encoding.dark / BRIGHTEST)
    return compact(bin_events(events, encoding.dt, encoding.steps))


def _every_fifth(labels: np.ndarray) -> np.ndarray:
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return rank % 5 == 4
