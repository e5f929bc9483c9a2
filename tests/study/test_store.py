"""The result file: one writer, nothing half written, a stranger's file refused."""

import sqlite3

import pytest

from study_workers import outcome
from tracegrad.errors import DataError, UsageError
from tracegrad.study.agenda import Agenda
from tracegrad.study.export import export, load_export
from tracegrad.study.store import Store, load_results

from .conftest import TUNING, advance, small


def filled(store, study=None):
    study = study or small(TUNING)
    kept = store()
    kept.begin(study)
    jobs = advance(Agenda(study, kept), 99)
    kept.close()
    return kept.path, jobs


def test_what_was_put_in_comes_out(store):
    path, jobs = filled(store)
    found = load_results(path)
    assert len(found.cells) == len(found.trials) == 6
    for row in [*found.cells, *found.trials]:
        (job,) = [job for job in jobs if job.digest == row.digest]
        assert row.outcome == outcome(job.cell)
        assert row.settings == job.settings and row.tuned == job.tuned
        assert row.seed == job.cell.config.seed and row.described == job.cell.described


def test_a_file_in_use_is_refused_and_free_after_its_user_is_gone(store):
    kept = store("used")
    kept.begin(small())
    with pytest.raises(UsageError, match="used.sqlite is in use by a study that runs. Wait"):
        Store(kept.path)
    with pytest.raises(UsageError, match="used.sqlite is in use by a study that runs. Wait"):
        load_results(kept.path)
    kept.close()
    assert load_results(kept.path).name == "small"
    Store(kept.path).close()


def test_a_strangers_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "letter.sqlite"
    path.write_text("Dear reader, " * 100)
    with pytest.raises(DataError, match="letter.sqlite is no result file of a study"):
        Store(path)
    with pytest.raises(DataError, match="letter.sqlite is no result file of a study"):
        load_results(path)
    assert path.read_text() == "Dear reader, " * 100
    with pytest.raises(DataError, match="There is no result file .*none.sqlite. Run the study"):
        load_results(tmp_path / "none.sqlite")
    other = tmp_path / "other.sqlite"
    base = sqlite3.connect(other)
    base.execute("CREATE TABLE cell (a)")
    base.commit()
    base.close()
    with pytest.raises(DataError, match="other.sqlite is no result file of a study"):
        load_results(other)
    with pytest.raises(DataError, match="no result file of a study: its format is 0, expected 1"):
        Store(other)


def test_another_study_is_refused_a_larger_one_goes_on(store):
    path, _ = filled(store, small())
    kept = store()
    with pytest.raises(UsageError, match=r"holds the study small \(full\), got small \(smoke\)"):
        kept.begin(small(size="smoke"))
    more = small('[[grid]]\nrule = ["sltt"]\n')
    kept.begin(more)
    assert [job.settings["rule"] for job in advance(Agenda(more, kept), 99)] == ["sltt"] * 3
    kept.begin(small())
    kept.close()
    assert len(load_results(path).cells) == 6, "a report tells of what the study asks for now"


def test_an_empty_file_holds_no_study(store):
    kept = store("empty")
    kept.close()
    with pytest.raises(DataError, match="empty.sqlite holds no study. Run one first"):
        load_results(kept.path)


def test_an_exported_file_holds_the_cells(store, tmp_path):
    path, _ = filled(store)
    found = load_results(path)
    again = load_export(export(found, tmp_path / "results.json"))
    assert (again.name, again.question, again.plan) == (found.name, found.question, found.plan)
    assert len(again.cells) == 6
    for old, new in zip(found.cells, again.cells, strict=True):
        assert new.outcome.metrics == old.outcome.metrics and new.settings == old.settings
        assert new.outcome.environment == old.outcome.environment
        for before, after in zip(old.outcome.curves, new.outcome.curves, strict=True):
            assert after == {name: pytest.approx(value, abs=1e-5) for name, value in before.items()}
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(DataError, match="broken.json is no exported result of a study"):
        load_export(tmp_path / "broken.json")
