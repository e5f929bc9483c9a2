"""What is left to do: after any interruption the rest and nothing else, tuned alike for all."""

import numpy as np
import pytest

from study_workers import outcome
from tracegrad.errors import UsageError
from tracegrad.study import propose as proposing
from tracegrad.study.agenda import LIVES, Agenda
from tracegrad.study.outcome import FAILED
from tracegrad.study.propose import Trial, best, propose
from tracegrad.study.store import CELL, TRIAL, load_results

from .conftest import TUNING, advance, small

ALL = 2 * 3 + 2 * 3  # two groups of three seeds, three trials each


def stored(path) -> dict:
    found = load_results(path)
    return {row.digest: row.outcome.metrics for row in [*found.cells, *found.trials]}


def complete(study, store, name: str, **how) -> list[str]:
    kept = store(name)
    kept.begin(study)
    return [job.digest for job in advance(Agenda(study, kept), 99, **how)]


@pytest.mark.parametrize("cut", range(ALL + 1))
def test_after_an_interruption_the_rest_runs_once_and_comes_to_the_same(cut, store):
    study = small(TUNING)
    whole = complete(study, store, "whole")
    assert len(whole) == len(set(whole)) == ALL
    first = store("cut")
    first.begin(study)
    before = [job.digest for job in advance(Agenda(study, first), cut)]
    again = store("cut")
    agenda = Agenda(study, again)
    assert agenda.finished == len(before) == cut
    after = [job.digest for job in advance(agenda, 99)]
    assert not set(before) & set(after)
    assert sorted(before + after) == sorted(whole)
    for name in ("whole", "cut"):
        store(name).close()
    assert stored(again.path) == stored(again.path.with_name("whole.sqlite"))


def test_the_order_of_cells_changes_nothing(store):
    study = small(TUNING)
    there, back = complete(study, store, "there"), complete(study, store, "back", last=True)
    assert there != back and sorted(there) == sorted(back)


def test_every_group_is_tuned_alike_and_on_held_out_sequences(store):
    study, kept = small(TUNING), store()
    kept.begin(study)
    jobs = advance(Agenda(study, kept), 99)
    trials = [job for job in jobs if job.kind == TRIAL]
    for group in study.groups:
        mine = [job for job in trials if job.settings == group]
        assert len(mine) == 3 and len({str(job.tuned) for job in mine}) == 3
        scores = [outcome(job.cell).metrics["accuracy"] for job in mine]
        chosen = mine[int(np.argmax(scores))].tuned
        assert [j.tuned for j in jobs if j.kind == CELL and j.settings == group] == [chosen] * 3
    assert all(job.cell.held_out and job.cell.config.learning.epochs == 2 for job in trials)
    for job in jobs:
        assert job.cell.config.learning.learning_rate == job.tuned["learning.learning_rate"]
        assert 1e-4 <= job.tuned["learning.learning_rate"] <= 1e-2
        assert job.tuned["network.input_gain"] in (1.0, 2.0)
        assert job.cell.held_out == (job.kind == TRIAL)


def test_a_proposal_depends_on_group_and_past_alone():
    tuning = small(TUNING).tuning
    assert tuning is not None
    group, past = {"rule": "eprop"}, []
    for _ in range(24):  # beyond the ten that are drawn at random
        tried = propose(tuning, group, past)
        assert tried == propose(tuning, dict(group), list(past))
        past.append(Trial(tried, -abs(np.log(tried["learning.learning_rate"] / 1e-3))))
    assert propose(tuning, {"rule": "bptt"}, []) != propose(tuning, group, [])
    late = np.mean([trial.score for trial in past[14:]])
    assert late > np.mean([trial.score for trial in past[:10]])
    assert best([Trial({"a": 1}, None), Trial({"a": 2}, 0.1), Trial({"a": 3}, 0.1)]) == {"a": 2}
    assert best([Trial({"a": 1}, None)]) == {}


def test_a_rule_that_refuses_is_not_tuned_on(store):
    study, kept = small(TUNING.replace("trials = 3", "trials = 3") + ""), store()
    group = {**study.groups[0], "rule": "superspike"}
    study = type(study)(**{**vars(study), "groups": (group,)})
    kept.begin(study)
    agenda = Agenda(study, kept)
    kinds = [job.kind for job in advance(agenda, 99)]
    assert kinds == [TRIAL, CELL, CELL, CELL] and agenda.finished == agenda.total == 4


def test_failed_cells_run_again_only_when_asked(store):
    study = small().__class__(**{**vars(small()), "seeds": 4})
    assert len(complete(study, store, "failing")) == 8
    assert len(advance(Agenda(study, store("failing")), 99)) == 0
    again = advance(Agenda(study, store("failing"), retry=True), 99)
    assert [job.cell.config.seed for job in again] == [3, 3]


def test_a_cell_whose_worker_dies_too_often_is_recorded(store):
    study, kept = small(size="smoke"), store()
    kept.begin(study)
    agenda = Agenda(study, kept)
    for _ in range(LIVES):
        job = agenda.take()
        assert job is not None and job.cell.config.seed == 0
        agenda.lost(job, -9)
    assert agenda.counts[FAILED] == 1
    sentence = kept.outcomes()[job.digest].sentence
    assert sentence == "Its worker process died 3 times, the last with exit code -9."
    assert [job.cell.config.seed for job in advance(agenda, 99)] == [1]


def test_tuning_without_optuna_says_how_to_get_it(store, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UsageError, match=r"needs optuna. Install it with: pip install 'tracegrad"):
        Agenda(small(TUNING), store())
    Agenda(small(), store())
    assert proposing.best([]) == {}
