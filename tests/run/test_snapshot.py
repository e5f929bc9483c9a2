"""Snapshots: what a record shows, seldom, and only while somebody looks."""

import os
import time

import jax
import numpy as np
import pytest

from tracegrad.run import snapshot
from tracegrad.run.control import Wanted, want
from tracegrad.run.evaluate import on_device, pad_steps
from tracegrad.run.record import record
from tracegrad.run.record_file import from_npz
from tracegrad.run.snapshot import LOOKING, SNAPSHOT, Snapshots
from tracegrad.run.train import Look


@pytest.fixture(scope="module")
def look(tiny, tiny_learner):
    """After a batch whose first sequence is shorter than the others."""
    batch = next(tiny.train.batches(8, None))
    lengths = batch.valid.sum(axis=0)
    first = int(lengths.argmin())
    order = [first, *(at for at in range(8) if at != first)]
    batch = type(batch)(*(a[:, order] for a in batch))
    assert lengths.min() < len(batch.xs)
    state = tiny_learner.init(jax.random.key(0), 8, stream=False)
    return Look(tiny_learner, state, on_device(pad_steps(batch, 4))), batch


@pytest.fixture
def looked_at(tmp_path):
    (tmp_path / LOOKING).touch()
    return tmp_path


def test_it_shows_what_a_record_of_the_first_sequence_shows(look, looked_at):
    now, batch = look
    Snapshots(looked_at).after(now)
    shown = from_npz(looked_at / SNAPSHOT)
    expected = record(now.state, now.learner.rule, now.learner.loss, batch)
    ours, theirs = jax.tree.leaves(shown), jax.tree.leaves(expected)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        if not isinstance(b, str):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert np.any(shown.factors.product) and np.any(shown.hidden[0])


def test_it_follows_the_synapse_that_is_asked_for_if_there_is_one(look, looked_at):
    now, _ = look
    taken = Snapshots(looked_at)
    for asked, seen in ([3, 2], (3, 2)), ([3, 99], None):
        want(looked_at, Wanted(synapse=asked))
        taken.due = 0.0
        taken.after(now)
        factors = from_npz(looked_at / SNAPSHOT).factors
        assert ((factors.neuron, factors.line) == (3, 2)) == (seen is not None)


def test_nothing_happens_while_nobody_looks(look, tmp_path):
    taken = Snapshots(tmp_path)
    taken.after(look[0])
    (tmp_path / LOOKING).touch()
    os.utime(tmp_path / LOOKING, (time.time() - 60,) * 2)
    taken.after(look[0])
    assert taken.recorder is None and not (tmp_path / SNAPSHOT).exists()


@pytest.mark.parametrize(("lasts", "due"), [(0.001, 1.0), (0.4, 40.0)])
def test_it_keeps_to_its_share_of_time(look, looked_at, monkeypatch, lasts, due):
    """At most one a second, and a hundred times as seldom as it takes long."""
    clock = [100.0]
    monkeypatch.setattr(snapshot.time, "monotonic", lambda: clock[0])
    taken, count = Snapshots(looked_at), []
    monkeypatch.setattr(snapshot, "replace", lambda path, content: count.append(clock[0]))

    def slow(recorder, look) -> None:
        clock[0] += lasts

    monkeypatch.setattr(taken, "_taken", slow)
    monkeypatch.setattr(snapshot, "to_npz", lambda record: b"")
    for _ in range(1000):
        taken.after(look[0])
        clock[0] += 0.05
    gaps = np.diff(count)
    assert len(count) > 1 and gaps.min() > due - 1e-6
