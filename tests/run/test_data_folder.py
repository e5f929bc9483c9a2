"""Where a task finds its data: `data` of the settings, or TRACEGRAD_DATA."""

import numpy as np
import pytest

from spike_files import write_spikes
from tracegrad.errors import DataError
from tracegrad.run.build import build_task
from tracegrad.run.config import Config


@pytest.fixture
def sets(tmp_path, monkeypatch):
    (tmp_path / "sets" / "shd").mkdir(parents=True)
    for part, count in (("train", 5), ("test", 3)):
        write_spikes(tmp_path / "sets" / "shd" / f"shd_{part}.h5", count)
    monkeypatch.setenv("TRACEGRAD_DATA", str(tmp_path / "sets"))
    return tmp_path / "sets"


def test_the_environment_names_the_folder_of_all_sets(sets):
    assert build_task(Config("shd")).train.size == 5


def test_a_folder_that_is_given_comes_first(sets, tmp_path):
    for part in ("train", "test"):
        write_spikes(tmp_path / f"shd_{part}.h5", 7)
    assert build_task(Config("shd", data=tmp_path)).train.size == 7


def test_refuses_what_is_not_there(sets, monkeypatch):
    with pytest.raises(DataError, match=f"There is no data folder {sets / 'ssc'}"):
        build_task(Config("ssc"))
    monkeypatch.setenv("TRACEGRAD_DATA", "")
    with pytest.raises(DataError, match="or set TRACEGRAD_DATA to the folder that holds shd"):
        build_task(Config("shd"))


def test_the_second_pass_reads_the_files_again(sets):
    """Nothing is held: what changes on disk changes the next epoch."""
    task = build_task(Config("shd"))
    first = next(task.train.batches(5, None)).xs
    write_spikes(sets / "shd" / "shd_train.h5", 5, seed=9)
    second = next(task.train.batches(5, None)).xs
    assert not np.array_equal(first, second)
