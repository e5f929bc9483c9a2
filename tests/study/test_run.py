"""A study in processes: killed at random moments it goes on, every cell once, results the same."""

import io
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

import study_workers
from tracegrad.errors import UsageError
from tracegrad.study import crew as crews
from tracegrad.study.crew import Crew
from tracegrad.study.outcome import DONE, FAILED, REFUSED
from tracegrad.study.run import Way, run_study
from tracegrad.study.store import Job, Results, Store, load_results

from .conftest import TEXT, small

ROOT = Path(__file__).resolve().parents[2]
EXACT = ("accuracy", "loss", "train_accuracy", "train_loss", "rate", "floors", "iterations")


@pytest.fixture
def started(monkeypatch) -> list[Job]:
    """The jobs that are given to workers from now on."""
    jobs: list[Job] = []
    start = Crew.start

    def noted(self: Crew, job: Job) -> None:
        jobs.append(job)
        start(self, job)

    monkeypatch.setattr(Crew, "start", noted)
    return jobs


def quiet(workers: int = 1) -> Way:
    return Way(Console(file=io.StringIO(), width=300), workers)


def told(way: Way) -> str:
    file = way.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def finish(study, path: Path, way: Way) -> Results:
    store = Store(path)
    try:
        run_study(study, store, way)
    finally:
        store.close()
    return load_results(path)


def numbers(found: Results) -> dict:
    return {
        row.digest: {name: row.outcome.metrics.get(name) for name in EXACT} for row in found.cells
    }


def test_workers_killed_at_random_moments_change_nothing(monkeypatch, tmp_path, started):
    monkeypatch.setattr(crews, "work", study_workers.work)
    study, rng, killed = small(), random.Random(0), []
    start = Crew.start

    def deadly(self: Crew, job: Job) -> None:
        start(self, job)
        if len(started) in (1, 4):  # once before its first cell, once in the middle
            pid = next(m for m in self.members if m.job is job).process.pid
            wait = rng.uniform(0.0, study_workers.SECONDS)
            threading.Timer(wait, os.kill, (pid, signal.SIGKILL)).start()
            killed.append(job.digest)

    monkeypatch.setattr(Crew, "start", deadly)
    found = finish(study, tmp_path / "killed.sqlite", quiet(workers=2))
    assert len(killed) == 2
    assert len(started) >= 6 + 1, "a kill must have cost a cell its worker"
    assert {row.digest for row in found.cells} == {job.digest for job in started}
    assert len(found.cells) == 6
    for row in found.cells:
        assert (
            row.outcome.metrics
            == study_workers.outcome(
                next(job for job in started if job.digest == row.digest).cell
            ).metrics
        )


def test_a_cell_that_takes_too_long_is_stopped_and_the_study_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(crews, "work", study_workers.slow)
    study = small(size="smoke")
    study = type(study)(**{**vars(study), "seconds": 0.2})
    way = quiet()
    found = finish(study, tmp_path / "late.sqlite", way)
    assert [row.outcome.status for row in found.cells] == [FAILED, FAILED]
    late = "It took longer than the 0.2 s that a cell of this study may take."
    assert [row.outcome.sentence for row in found.cells] == [late, late]
    assert told(way).count(late) == 2


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(UsageError, match="workers must be at least 1, got 0"):
        finish(small(), tmp_path / "none.sqlite", quiet(workers=0))


def command(*arguments: str, cache: Path) -> subprocess.Popen:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tracegrad", "study", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def vanished(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds children in /proc")
@pytest.mark.parametrize(
    "cells", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_study_killed_at_a_random_moment_goes_on_where_it_stopped(cells, tmp_path):
    file, out, cache = tmp_path / "small.toml", tmp_path / "small.sqlite", tmp_path / "cache"
    file.write_text(TEXT.replace("seeds = 3", "seeds = 2"))
    arguments = (str(file), "--out", str(out), "--workers", "1")
    first = command(*arguments, cache=cache)
    assert first.stdout is not None
    before = []
    for line in first.stdout:
        before += re.findall(r"^\[(\d)/4\] (?:done|refused|failed) ", line)
        if len(before) == cells:
            break
    time.sleep(random.Random(cells).uniform(0.0, 1.5))
    workers = children(first.pid)
    assert workers, "a worker must be at work when the study is killed"
    first.kill()
    first.wait()
    first.stdout.close()
    assert vanished(workers, 30.0), "workers leave with their parent"
    held = load_results(out)
    assert cells <= len(held.cells) < 4, "there must be something to go on with, and from"

    second = command(*arguments, cache=cache)
    text, _ = second.communicate(timeout=300)
    assert second.returncode == 0, text
    again = re.findall(r"^\[(\d)/4\] done ", text, re.MULTILINE)
    assert [int(n) for n in again] == list(range(len(held.cells) + 1, 5))
    found = load_results(out)
    assert len(found.cells) == 4 and {row.outcome.status for row in found.cells} == {DONE}
    kept = {row.digest: row.finished for row in held.cells}
    assert kept == {r.digest: r.finished for r in found.cells if r.digest in kept}
    assert "## yin_yang" in out.with_suffix("").joinpath("report.md").read_text()

    third = command(*arguments[:1], "--out", str(tmp_path / "whole.sqlite"), cache=cache)
    text, _ = third.communicate(timeout=300)
    assert third.returncode == 0, text
    assert numbers(found) == numbers(load_results(tmp_path / "whole.sqlite"))


def smoke(name: str, tmp_path: Path) -> Results:
    out = tmp_path / f"{name}.sqlite"
    done = command(name, "--smoke", "--out", str(out), cache=tmp_path / "cache")
    text, _ = done.communicate(timeout=600)
    assert done.returncode == 0, text
    found = load_results(out)
    assert len(found.cells) == len(found.plan["groups"]) * found.plan["seeds"]
    assert not [row.outcome for row in found.cells if row.outcome.status == FAILED]
    assert (out.with_suffix("") / "report.md").is_file()
    return found


@pytest.mark.parametrize(
    "name",
    [
        "horizon",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("locality", "feedback", "depth")),
    ],
)
def test_a_ready_made_study_runs_in_its_smoke_size(name, tmp_path):
    found = smoke(name, tmp_path)
    assert {row.outcome.status for row in found.cells} == {DONE}
    assert all(row.outcome.metrics["rate"] > 0.0 for row in found.cells), "neurons must spike"


@pytest.mark.slow
def test_the_study_of_the_paper_records_what_a_rule_refuses(tmp_path):
    found = smoke("paper", tmp_path)
    refused = {
        (row.settings["task"], row.settings["rule"]): row.outcome.sentence
        for row in found.cells
        if row.outcome.status == REFUSED
    }
    assert ("yin_yang", "rflo") in refused and ("add", "rflo") not in refused
    assert refused["yin_yang", "superspike"].startswith("superspike needs a readout")
    assert not any(rule in ("bptt", "rtrl", "eprop", "block_diagonal") for _, rule in refused)
