"""A cell: what decides its result, its training, and tuning that never sees the test set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adam import lenient_adam  # noqa: F401  # a fixture
from tiny import TINY, sequences
from tracegrad.data import Sequences, Task
from tracegrad.data.tasks.delayed_xor import DelayedXor, delayed_xor
from tracegrad.data.tasks.yin_yang import yin_yang
from tracegrad.errors import UsageError
from tracegrad.run.train import Epoch, train
from tracegrad.study.cell import Cell, flat, to_cell
from tracegrad.study.held_out import held_out
from tracegrad.study.options import keywords
from tracegrad.study.outcome import DONE, FAILED, REFUSED, train_cell

SMALL = {
    "task": "delayed_xor_100",
    "network.hidden": [4],
    "learning.batch": 4,
    "learning.epochs": 1,
    "task_options.count": 8,
    "task_options.test_count": 4,
    "task_options.delay": 0.0,
}


def cell(**changes: object) -> Cell:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return to_cell(SMALL | named, "here", Path())


def test_a_cell_is_trained_as_the_command_line_trains():
    said: list[Epoch] = []
    made = cell(rule="eprop", seed=3)
    outcome = train_cell(made, said.append, {"python": "3"})
    task = delayed_xor(DelayedXor(delay=0.0), count=8, test_count=4)
    result = train(made.learner(task), made.config, task)
    assert outcome.status == DONE and outcome.environment["python"] == "3"
    assert [epoch["test_loss"] for epoch in outcome.curves] == [e.test_loss for e in result.epochs]
    assert [epoch.epoch for epoch in said] == [1]
    assert outcome.metrics["loss"] == result.last.test_loss
    assert outcome.metrics["accuracy"] == result.last.test_accuracy
    assert outcome.metrics["memory_bytes"] == result.memory_bytes
    assert outcome.metrics["iterations"] == 2 and outcome.metrics["rate"] > 0.0


def test_a_rule_that_refuses_and_a_run_that_fails_are_told_apart(monkeypatch):
    refused = train_cell(cell(rule="rflo"), print, {})
    assert refused.status == REFUSED and "The rule needs rate units" in refused.sentence
    other = train_cell(cell(rule="rtrl", signal="random"), print, {})
    assert other.status == REFUSED and "learning.signal must be left out for rtrl" in other.sentence
    missing = to_cell({"task": "braille", "data": "nowhere"}, "here", Path())
    failed = train_cell(missing, print, {})
    assert failed.status == FAILED and "There is no data folder nowhere" in failed.sentence

    def broken(*arguments: object) -> None:
        raise RuntimeError("no\nmore")

    monkeypatch.setattr("tracegrad.study.outcome.train", broken)
    failed = train_cell(cell(), print, {})
    assert (failed.status, failed.sentence) == (FAILED, "RuntimeError: no")


def test_a_digest_changes_with_everything_that_decides_the_result(tmp_path):
    base = cell()
    assert base.digest == cell().digest == cell(network__recurrent=True).digest
    others = [
        cell(seed=1),
        cell(rule="eprop"),
        cell(learning__batch=5),
        cell(task_options__delay=0.1),
        cell(rule="block", rule_options__groups=2),
        cell(rule="block", rule_options__groups=4),
        replace(base, held_out=True),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 1 + len(others)
    code = Path(__file__).resolve().parents[2] / "examples" / "neuron.py"
    source = code.read_text() if code.is_file() else "class N: pass\n"
    name = source.partition("class ")[2].partition("(")[0].partition(":")[0]
    (tmp_path / "mine.py").write_text(source)
    own = replace(base.config.network, neuron=f"{tmp_path / 'mine.py'}:{name}")
    mine = replace(base, config=replace(base.config, network=own))
    before = mine.digest
    (tmp_path / "mine.py").write_text(source + "# changed\n")
    assert mine.digest != before


def test_options_reach_task_and_rule():
    assert cell(task_options__delay=0.1).task().steps == 300 and cell().task().steps == 200
    made = cell(rule="block", rule_options__groups=4)
    assert made.learner(made.task()).rule.influence.pattern.size == 4
    assert keywords(delayed_xor, {"delay": 1, "count": 3}, "x") == {
        "settings": DelayedXor(delay=1.0),
        "count": 3,
    }
    with pytest.raises(UsageError, match="there is no option x.lines, expected one of count, test"):
        keywords(yin_yang, {"lines": 3}, "x")
    with pytest.raises(UsageError, match="x.count must be of the kind of 5000, got True"):
        keywords(yin_yang, {"count": True}, "x")
    assert flat({"network": {"neuron": "LIF", "hidden": [3]}, "learning": {"rule": "bptt"}}) == {
        "neuron": "LIF",
        "network.hidden": [3],
        "rule": "bptt",
    }


def test_tuning_is_tested_on_sequences_that_it_neither_trains_on_nor_are_the_test_set():
    whole = yin_yang(count=50, test_count=20)
    part = held_out(whole)
    assert isinstance(whole.train, Sequences) and isinstance(whole.test, Sequences)
    assert isinstance(part.train, Sequences) and isinstance(part.test, Sequences)

    def keys(source: Sequences) -> set[bytes]:
        return {counts.tobytes() for counts in source.counts}

    assert part.test.size == 10 and part.train.size == 40
    assert keys(part.test) | keys(part.train) == keys(whole.train)
    assert not keys(part.test) & keys(part.train) and not keys(part.test) & keys(whole.test)
    drawn = delayed_xor(count=8, test_count=4)
    fresh = held_out(drawn)
    new, old = next(fresh.test.batches(4, None)), next(drawn.test.batches(4, None))
    assert new.xs.shape == old.xs.shape and not np.array_equal(new.xs, old.xs)
    first = next(drawn.train.batches(4, None))
    assert not np.array_equal(new.xs, first.xs)
    one = sequences(1, 0)
    with pytest.raises(UsageError, match="that of t cannot be split. Leave tuning out"):
        held_out(Task("t", "s", one.counts.shape[2], 2, 1e-3, one, one))
    assert TINY.task == "digits"
