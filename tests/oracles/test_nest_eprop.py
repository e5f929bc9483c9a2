"""Side by side with NEST: its e-prop models learn from the same draws, on seeds never published.

NEST lives in an environment of its own: `make oracle-nest` makes it and runs these tests.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import golden
import golden_runs
from tracegrad.data.tasks.evidence_accumulation import Evidence
from tracegrad.data.tasks.pattern_generation import Pattern

PYTHON = Path(__file__).resolve().parents[2] / ".venv-nest" / "bin" / "python"
SCRIPT = Path(__file__).with_name("nest_eprop.py")
RELATIVE = 1e-7  # as close as the authors of NEST come to the original code
SEEDS = (2, 3)
PATTERN = Pattern(lines=60, steps=500, periods=(500, 250, 160, 100))
EVIDENCE = Evidence(group=5, cues=3, delay=0.1, recall=0.05, rate=80.0, noise=20.0)
NEURONS = 61  # odd: NEST's and our halves must split the same way

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no NEST: `make oracle-nest` sets it up and runs these tests"
)


@pytest.fixture
def nest(tmp_path):
    """Let NEST run an experiment on draws."""

    def run(experiment, draws, ys, window):
        names = ("w_in", "w_rec", "w_out", "feedback", "xs")
        arrays = {name: getattr(draws, name) for name in names}
        given, answer = tmp_path / "draws.npz", tmp_path / "answer.json"
        np.savez(given, **arrays, ys=ys, window=window)
        command = [str(PYTHON), str(SCRIPT), experiment, str(given), str(answer)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return golden_runs.Run(**json.loads(answer.read_text()))

    return run


def regression(nest, seed, pattern=PATTERN, n=NEURONS):
    draws = golden.regression(seed, pattern, n)
    return draws, nest("regression", draws, draws.ys, len(draws.xs[0]))


def classification(nest, seed):
    draws = golden.classification(seed, EVIDENCE, NEURONS, batch=2)
    window = np.count_nonzero(draws.weight[0, :, 0])
    return draws, nest("classification", draws, np.eye(2)[draws.ys], window)


def assert_same(ours, theirs):
    """Equal losses and, for every iteration, equally many spikes, of which there are some."""
    assert ours.spikes == theirs.spikes and min(ours.spikes) > 100
    assert ours.losses == pytest.approx(theirs.losses, rel=RELATIVE)


def assert_differ_after_the_first(ours, theirs):
    """The first loss is before any learning; all others must tell the runs apart."""
    assert ours.losses[0] == pytest.approx(theirs.losses[0], rel=RELATIVE)
    for a, b in zip(ours.losses[1:], theirs.losses[1:], strict=True):
        assert a != pytest.approx(b, rel=1000 * RELATIVE)


@pytest.mark.parametrize("seed", SEEDS)
def test_regression(nest, seed):
    draws, theirs = regression(nest, seed)
    assert_same(golden_runs.regression(draws), theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_classification(nest, seed):
    draws, theirs = classification(nest, seed)
    assert_same(golden_runs.classification(draws), theirs)


def test_what_is_compared_depends_on_the_learning_and_on_the_seed(nest):
    draws, theirs = regression(nest, SEEDS[0])
    assert_differ_after_the_first(golden_runs.regression(draws, rate=0.0), theirs)
    draws, theirs = classification(nest, SEEDS[0])
    assert_differ_after_the_first(golden_runs.classification(draws, rate=0.0), theirs)
    _, other = classification(nest, SEEDS[1])
    assert other.losses != pytest.approx(theirs.losses, rel=1e-3)


def test_nest_gives_the_published_losses(nest):
    draws, theirs = regression(nest, golden.SEED, Pattern(), 100)
    assert theirs.losses == pytest.approx(draws.losses, rel=1e-9)
