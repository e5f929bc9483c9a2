import numpy as np
import pytest

from tracegrad.data.events import Events
from tracegrad.data.recordings import Recording, Recordings, binned, one_class, until
from tracegrad.errors import UsageError


def recording(index: int) -> Recording:
    """Of index + 1 steps and two lines, both the index."""
    return one_class(np.full((index + 1, 2), index, np.float32), index % 3)


def test_batches_read_each_recording_once_and_keep_none():
    asked: list[int] = []

    def read(index: int) -> Recording:
        asked.append(index)
        return recording(index)

    source = Recordings(read, 5, 6)
    epoch = source.batches(2, None)
    assert asked == [] and source.size == 5
    first = next(epoch)
    assert asked == [0, 1]
    assert first.xs.shape == (6, 2, 2) and first.xs[:, 1, 0].tolist() == [1, 1, 0, 0, 0, 0]
    assert first.ys[:, 1].tolist() == [1, 1, 0, 0, 0, 0]
    assert first.valid[:, 1].tolist() == [True, True] + [False] * 4
    np.testing.assert_allclose(first.weight[:, 1], [0.5, 0.5, 0, 0, 0, 0])
    last = list(epoch)[-1]
    assert asked == [0, 1, 2, 3, 4] and last.xs.shape == (6, 2, 2)
    assert not last.valid[:, 1].any() and last.weight.sum() == pytest.approx(1)
    list(source.batches(2, np.random.default_rng(0)))
    assert sorted(asked[5:]) == [0, 1, 2, 3, 4] and asked[5:] != [0, 1, 2, 3, 4]


def test_batches_have_the_dtypes_of_every_source():
    batch = next(Recordings(recording, 2, 3).batches(2, None))
    assert [a.dtype for a in batch] == [np.float32, np.int32, np.float32, np.bool_]


def test_the_label_counts_after_the_quiet_steps():
    part = one_class(np.zeros((5, 1), np.float32), 7, quiet=3)
    assert part.y.tolist() == [7] * 5 and part.weight.tolist() == [0, 0, 0, 0.5, 0.5]
    assert one_class(np.zeros((2, 1), np.float32), 7, quiet=3).weight.tolist() == [0, 1]


def events(*times: int) -> Events:
    return Events(np.array(times, np.int64), np.zeros(len(times), np.int64), 2)


def test_a_recording_ends_with_the_step_of_its_last_event():
    assert binned(events(0, 1999, 2000), 1e-3, 5, "it").tolist() == [[1, 0], [1, 0], [1, 0]]
    assert binned(events(), 1e-3, 5, "it").tolist() == [[0, 0]]
    assert len(until(events(0, 1999, 2000), 1e-3, 2)) == 2


def test_refuses():
    with pytest.raises(UsageError, match="it has events up to 0.005 s, beyond 5 steps of 0.001 s"):
        binned(events(5000), 1e-3, 5, "it")
    with pytest.raises(UsageError, match="Recording 3 must have 1 to 3 steps, has 4"):
        list(Recordings(recording, 4, 3).batches(4, None))
    with pytest.raises(UsageError, match="A source needs recordings and steps, got 0 and 3"):
        Recordings(recording, 0, 3)
    with pytest.raises(UsageError, match="batch size must be at least 1, got 0"):
        Recordings(recording, 4, 4).batches(0, None)
