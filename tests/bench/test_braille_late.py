"""What changes in a training sequence of letters told late, anew in every epoch."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tracegrad.data import Sequences

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def late(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    import braille_late

    return braille_late


def test_a_sequence_loses_one_short_while_and_keeps_the_rest(late):
    whole = Sequences(np.ones((99, 256, 12), np.uint8), np.full(99, 256), np.zeros(99, int), 7)
    settings = replace(late.Settings(), shift=0, flip=0.0, mask=48)
    made = late.varied(whole, settings, np.random.default_rng(0)).counts
    lost = made[:, :, 0] == 0
    assert np.array_equal(made, np.repeat(~lost[:, :, None], 12, axis=2))
    edges = np.abs(np.diff(np.pad(lost.astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1)
    assert set(edges) == {0, 2}, "one while at most"
    assert 40 < lost.sum(axis=1).max() < 49
