"""docs/images/kept.png shows what the rules keep, by numbers that were found another way."""

import sys

import numpy as np
import pytest

import tracegrad as tg
from pages import ROOT


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs"), *sys.path])
    import pictures

    return pictures


def own_blocks(pictures) -> np.ndarray:
    return np.kron(np.eye(pictures.UNITS), np.ones((2, 2)))


def test_the_block_diagonal_is_that_of_the_whole_jacobian(made):
    whole = made.carried(tg.rules.rtrl())[0]
    kept = made.carried(tg.rules.block_diagonal())[0]
    np.testing.assert_allclose(kept, whole * own_blocks(made), atol=1e-12)
    outside = np.abs(whole * (1 - own_blocks(made)))
    assert outside.max() > 0.01, "it needs something to drop"


def test_eprop_keeps_leak_and_current_alone(made):
    alpha, beta = np.exp(-1e-3 / 5e-3), np.exp(-1e-3 / 20e-3)
    neuron = np.array([[alpha, 0.0], [(1 - beta) * alpha, beta]])
    kept = made.carried(tg.rules.eprop())[0]
    np.testing.assert_allclose(kept, np.kron(np.eye(made.UNITS), neuron), atol=1e-12)
    for other in (tg.rules.d_rtrl(), tg.rules.block_diagonal()):
        assert np.abs(made.carried(other)[0] - kept).max() > 0.01, other.name


def test_groups_and_no_memory(made):
    whole = made.carried(tg.rules.rtrl())[0]
    pairs = np.kron(np.eye(made.UNITS // 2), np.ones((4, 4)))
    np.testing.assert_array_equal(made.carried(tg.rules.block(groups=2))[0], whole * pairs)
    assert not made.carried(tg.rules.sltt())[0].any()


def test_the_picture_is_there_and_small(made):
    for name in ("kept", "by_lag"):
        assert 5_000 < (made.IMAGES / f"{name}.png").stat().st_size < 200_000, name
    assert made.one_step()[2].any(), "the next input is empty"
