import numpy as np
import pytest

from tracegrad.data.tasks.store_recall import StoreRecall, store_recall
from tracegrad.errors import UsageError

SURE = StoreRecall(group=1, slots=8, slot=2e-3, command=0.4, rate=1000.0)


def test_every_recall_asks_for_the_bit_of_the_last_store():
    """The machine written once more, from the input alone."""
    batch = SURE.sample(np.random.default_rng(0), 200)
    assert batch.xs.shape == (16, 200, 4)
    slots = batch.xs.reshape(8, 2, 200, 4)
    assert (slots[:, 0] == slots[:, 1]).all()
    recalls = 0
    for sequence in range(200):
        stored, asked = None, []
        for slot, (zero, one, store, recall) in enumerate(slots[:, 0, sequence]):
            assert zero + one + recall == 1, "a bit, or a recall"
            if store:
                assert stored is None, "stores and recalls alternate"
                stored = int(one)
            if recall:
                assert stored is not None and (batch.ys[2 * slot, sequence] == stored)
                asked, stored = [*asked, slot], None
        weight = batch.weight[::2, sequence]
        assert np.flatnonzero(weight).tolist() == asked != []
        assert (weight[asked] == np.float32(0.5 / len(asked))).all()
        recalls += len(asked)
    assert recalls > 300


def test_bits_are_fair():
    batch = SURE.sample(np.random.default_rng(1), 500)
    asked = batch.weight > 0
    assert abs(batch.ys[asked].mean() - 0.5) < 4 * 0.5 / (asked.sum() / 2) ** 0.5


def test_task():
    task = store_recall(count=3, test_count=2)
    assert (task.lines, task.outputs, task.steps, task.stepwise) == (40, 2, 2400, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": 0}, "group must be at least 1, got 0"),
        ({"slots": 1}, "slots must be at least 2, got 1"),
        ({"command": 0.0}, r"command must lie in \(0, 1\], got 0.0"),
        ({"slot": 0.5e-3}, "slot must be a multiple of dt = 0.001 s, got 0.0005 s"),
        ({"rate": -1.0}, r"rate must lie in \[0.0, 1000.0\], got -1.0"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        StoreRecall(**change)
