import numpy as np
import pytest

from tracegrad.data.sequences import Sequences
from tracegrad.data.tasks.tempotron import Tempotron, tempotron
from tracegrad.errors import UsageError


def test_every_line_spikes_once_and_labels_alternate():
    task = tempotron(Tempotron(lines=10, load=1.5, classes=3, duration=0.2, dt=10e-3), seed=2)
    source = task.train
    assert task.test is source and isinstance(source, Sequences)
    assert source.counts.shape == (15, 20, 10) and (source.counts.sum(axis=1) == 1).all()
    assert source.labels.tolist() == [0, 1, 2] * 5
    (batch,) = source.batches(15, None)
    assert (batch.weight == np.float32(0.05)).all()
    assert task.outputs == 3 and task.floors == {"chance": pytest.approx(np.log(3))}


def test_spikes_are_uniform_in_time():
    source = tempotron(Tempotron(lines=100, load=2.0)).train
    assert isinstance(source, Sequences)
    counts = source.counts.sum(axis=(0, 2)).astype(int)  # 20,000 spikes in 100 steps
    assert (np.abs(counts - 200) < 5 * 200**0.5).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": 0}, "lines must be at least 1, got 0"),
        ({"classes": 1}, "classes must be at least 2, got 1"),
        ({"load": 0.01}, "load must give a pattern for each of 2 classes, got 0.01 of 100 lines"),
        ({"duration": 1e-3}, "duration must be a multiple of dt = 0.005 s, got 0.001 s"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UsageError, match=message):
        Tempotron(**change)
