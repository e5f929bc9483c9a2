import numpy as np
import pytest

from tracegrad.data.tasks.delayed_xor import DelayedXor, delayed_xor
from tracegrad.errors import UsageError

SURE = DelayedXor(group=2, cue=3e-3, delay=2e-3, rate=1000.0)  # spikes in every step of a cue


def test_timing_and_labels_by_hand():
    batch = SURE.sample(np.random.default_rng(0), 40)
    assert batch.xs.shape == (14, 40, 4)
    active = batch.xs.reshape(14, 40, 2, 2)
    assert (active[..., 0] == active[..., 1]).all()  # both lines of a group
    on = active[..., 0]
    assert not on[3:5].any() and not on[8:].any()
    a, b = on[0, :, 1], on[5, :, 1]
    for start, side in ((0, a), (5, b)):
        assert (on[start : start + 3, :, 1] == side).all()
        assert (on[start : start + 3, :, 0] == 1 - side).all()
    assert (batch.ys == (a != b)).all() and len(set(zip(a, b, strict=True))) == 4
    assert not batch.weight[:11].any() and (batch.weight[11:] == np.float32(1 / 3)).all()


def test_rates_and_balance():
    batch = DelayedXor().sample(np.random.default_rng(0), 1000)
    # 1000 x 50 x 10 draws at 0.1, in each cue; 4 standard deviations
    for cue in (batch.xs[:50], batch.xs[150:200]):
        assert abs(cue.sum() - 50_000) < 4 * (500_000 * 0.09) ** 0.5
    assert abs(batch.ys[0].mean() - 0.5) < 4 * 0.5 / 1000**0.5


def test_task():
    for delay, steps in ((0.0, 200), (0.1, 300), (0.5, 700)):
        task = delayed_xor(DelayedXor(delay=delay), count=3, test_count=2)
        assert (task.name, task.steps) == (f"delayed_xor_{1000 * delay:.0f}", steps)
        assert (task.lines, task.outputs, task.classifies) == (20, 2, True)
        assert task.floors == {"chance": pytest.approx(0.6931, abs=1e-4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": 0}, "group must be at least 1, got 0"),
        ({"cue": 0.5e-3}, "cue must be a multiple of dt = 0.001 s, got 0.0005 s"),
        ({"delay": -1.0}, "delay must be a positive whole number of microseconds, got -1.0 s"),
        ({"rate": 1001.0}, r"rate must lie in \[0.0, 1000.0\], got 1001.0"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        DelayedXor(**change)
