"""When full: each policy with a source that is faster than the learner; nothing lost uncounted."""

import threading
import time

import numpy as np
import pytest

from stream.flow import LINES
from tracegrad.errors import UsageError
from tracegrad.stream.bins import Step
from tracegrad.stream.counts import Counts
from tracegrad.stream.step_queue import StepQueue
from tracegrad.stream.when_full import Block, Coarsen, Drop

MOST, NUMBER = 8, 200


def step(index: int) -> Step:
    x = np.zeros(LINES, np.float32)
    x[index % LINES] = index
    return Step(1000 * index, x, index, label=index % 5 - 1)


def raced(when_full) -> tuple[list[Step], Counts]:
    """200 steps at once, taken by threes, slowly."""
    counts = Counts()
    queue = StepQueue(MOST, when_full, counts)

    def read() -> None:
        for index in range(NUMBER):
            queue.put(step(index))
            assert len(queue._steps) <= MOST
        queue.close()

    reader = threading.Thread(target=read)
    reader.start()
    taken: list[Step] = []
    while some := queue.take(6, 3):
        assert len(some) in (3, 6) or not queue._steps
        taken.extend(some)
        time.sleep(0.002)
    reader.join()
    read_events, read_labels = sum(range(NUMBER)), NUMBER - NUMBER // 5
    labels = sum(s.label >= 0 for s in taken)
    assert sum(s.events for s in taken) + counts.events.dropped == read_events
    assert labels + counts.labels.dropped == read_labels
    assert len(taken) + counts.steps_dropped + counts.steps_merged == NUMBER
    return taken, counts


def test_block_loses_nothing():
    taken, counts = raced(Block())
    assert [s.start for s in taken] == [1000 * i for i in range(NUMBER)]
    assert counts == Counts()


def test_drop_keeps_the_latest():
    taken, counts = raced(Drop())
    assert counts.steps_dropped > 0 and counts.events.dropped > 0
    starts = [s.start for s in taken]
    assert starts == sorted(set(starts)) and starts[-1] == 1000 * (NUMBER - 1)
    assert all(s.x.sum() == s.events for s in taken)


def test_coarsen_merges_neighbours_and_loses_no_event():
    taken, counts = raced(Coarsen())
    assert counts.steps_merged > 0 and counts.steps_dropped == counts.events.dropped == 0
    assert sum(s.width for s in taken) == NUMBER
    ends = np.cumsum([s.width for s in taken])
    assert [s.start for s in taken] == [0, *(1000 * ends[:-1]).tolist()]
    for end, wide in zip(ends.tolist(), taken, strict=True):
        parts = [step(i) for i in range(end - wide.width, end)]
        assert np.array_equal(wide.x, np.sum([p.x for p in parts], axis=0))
        labels = [p.label for p in parts if p.label >= 0]
        assert wide.label == (labels[-1] if labels else -1)


def test_an_odd_queue_stays_in_order():
    counts = Counts()
    queue = StepQueue(3, Coarsen(), counts)
    for index in range(4):
        queue.put(step(index))
    queue.close()
    assert [(s.start, s.width) for s in queue.take(9, 1)] == [(0, 2), (2000, 1), (3000, 1)]


def test_a_reader_that_waits_is_let_go():
    counts = Counts()
    queue = StepQueue(2, Block(), counts)
    reader = threading.Thread(target=lambda: [queue.put(step(i)) for i in range(5)])
    reader.start()
    queue.abandon()
    reader.join(5)
    queue.drain()
    assert not reader.is_alive() and counts.steps_dropped == 5 and counts.events.dropped == 10


def test_a_queue_of_one_is_refused():
    with pytest.raises(UsageError, match="A queue must hold at least 2 steps, got 1"):
        StepQueue(1, Block(), Counts())
