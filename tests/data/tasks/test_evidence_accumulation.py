import numpy as np
import pytest

from tracegrad.data.tasks.evidence_accumulation import (
    Evidence,
    evidence_accumulation,
    evidence_accumulation_lif,
)
from tracegrad.errors import UsageError

SURE = Evidence(group=2, cues=3, rate=1000.0, noise=0.0)  # fires in every step of a cue


def test_timing_by_hand():
    spikes = SURE.draw_spikes(np.random.default_rng(0), np.array([[1, 0, 1]]))[0]
    assert spikes.shape == (3 * 150 + 1050 + 150, 8)
    starts_and_ends = [np.flatnonzero(np.diff(np.pad(line, 1))).tolist() for line in spikes.T * 1]
    left, right, recall = [200, 300], [50, 150, 350, 450], [1500, 1650]
    assert starts_and_ends == [left, left, right, right, recall, recall, [], []]


def test_labels_and_window():
    batch = SURE.sample(np.random.default_rng(0), 40)
    right = batch.xs[:450, :, 2].sum(axis=0) / 100
    assert set(right) == {0, 1, 2, 3}
    assert (batch.ys == (right > 1.5)).all() and batch.ys.dtype == np.int32
    assert not batch.weight[:1500].any() and (batch.weight[1500:] == np.float32(1 / 150)).all()
    assert batch.valid.all()


def test_default_rates_and_sides():
    batch = Evidence().sample(np.random.default_rng(0), 50)
    assert batch.xs.shape == (2250, 50, 40)
    rate = batch.xs.reshape(2250, 50, 4, 10).mean(axis=(1, 3)) * 1000
    # 4 standard deviations of a mean over 50 sequences, 10 lines and the steps
    assert abs(rate[:, 3].mean() - 10) < 4 * (10_000 / (2250 * 500)) ** 0.5
    assert abs(rate[-150:, 2].mean() - 40) < 4 * (40_000 / (150 * 500)) ** 0.5
    assert not rate[:-150, 2].any() and not rate[:50, :3].any() and not rate[1050:-150, :3].any()
    cues = Evidence().draw_cues(np.random.default_rng(1), 2000)
    # Both labels are equally likely; the cues of a sequence are binomial with 0.3 or 0.7.
    share = np.maximum(cues.mean(axis=1), 1 - cues.mean(axis=1))
    assert abs((cues.sum(axis=1) > 3).mean() - 0.5) < 4 * 0.5 / 2000**0.5
    assert abs(share.mean() - majority(0.7)) < 4 * share.std() / 2000**0.5


def majority(p: float) -> float:
    """The expected share of the more frequent side of 7 cues."""
    binomial = [1, 7, 21, 35, 35, 21, 7, 1]
    return sum(c * p**k * (1 - p) ** (7 - k) * max(k, 7 - k) / 7 for k, c in enumerate(binomial))


def test_task():
    task = evidence_accumulation(SURE, count=5, test_count=3)
    assert (task.lines, task.outputs, task.dt, task.steps) == (8, 2, 1e-3, 1650)
    assert task.classifies and (task.train.size, task.test.size) == (5, 3)
    assert evidence_accumulation().steps == 2250


def test_the_variant_for_lif_has_the_same_draws():
    first, second = (make(SURE) for make in (evidence_accumulation, evidence_accumulation_lif))
    assert second.name == "evidence_accumulation_lif" and second.train.size == 200
    np.testing.assert_array_equal(first.sample(0).xs, second.sample(0).xs)
    np.testing.assert_array_equal(first.sample(0).ys, second.sample(0).ys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cues": 4}, "group must be at least 1 and cues odd, got 10 and 4"),
        ({"group": 0}, "group must be at least 1 and cues odd, got 0 and 7"),
        ({"delay": 0.0005}, "delay must be a multiple of dt = 0.001 s, got 0.0005 s"),
        ({"recall": 0.0}, "recall must be a positive whole number of microseconds"),
        ({"rate": 2000.0}, r"rate must lie in \[0, 1000.0\], got 2000.0"),
        ({"noise": -1.0}, r"noise must lie in \[0, 1000.0\], got -1.0"),
        ({"rare": 1.5}, r"rare must lie in \[0, 1.0\], got 1.5"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        Evidence(**change)
