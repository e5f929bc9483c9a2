"""Killed at any moment, a run goes on and comes to the same bytes; a writer in place does not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tracegrad.run.checkpoint import DamagedError, read
from tracegrad.run.keeper import Keeper

TESTS = Path(__file__).resolve().parents[1]
LIMIT = 1 << 24
PATIENCE = 120.0  # seconds for a step of a life on a busy machine


class Lives:
    """The process that starts trainings; see `lives`."""

    def __init__(self, folder: Path):
        self.errors = (folder / "errors.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(TESTS / "lives.py")],
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]),
                "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def ask(self, line: str) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"the process is gone: {self.said()}"
        return int(answer)

    def start(self, folder: Path, case: "Case", control: bool = False) -> int:
        order = {
            "folder": str(folder),
            "learning": case.learning,
            "substrate": case.substrate,
            "control": control,
        }
        return self.ask(f"start {json.dumps(order)}")

    def wait(self, life: int) -> int:
        return self.ask(f"wait {life}")

    def said(self) -> str:
        self.errors.seek(0)
        return self.errors.read()


class Case(NamedTuple):
    learning: dict
    substrate: str | None = None

    @property
    def name(self) -> str:
        return f"{self.learning['rule']}-{self.substrate or 'ideal'}"


def case(rule: str, every: int | None = 4, substrate: str | None = None, epochs: int = 40) -> Case:
    return Case({"rule": rule, "update_every": every, "epochs": epochs}, substrate)


class Killed(NamedTuple):
    """What became of a run: kills, those that met a write, files that were damaged by them."""

    kills: int
    overlapped: int
    damaged: int


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    made = Lives(tmp_path_factory.mktemp("lives"))
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.wait(PATIENCE)
    assert made.process.stdout is not None
    made.process.stdout.close()
    made.errors.close()


def until(true: Callable[[], bool], lives: Lives) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"nothing happens: {lives.said()}"
        time.sleep(2e-4)


def files(run: Path, suffix: str) -> list[Path]:
    return sorted((run / "checkpoints").glob(f"*{suffix}"))


def newest(run: Path) -> int:
    """Number of the newest file that counts as a checkpoint, good or not."""
    return max((int(path.stem) for path in files(run, ".checkpoint")), default=0)


def damaged(run: Path) -> int:
    def bad(path: Path) -> bool:
        try:
            read(path, LIMIT)
        except DamagedError:
            return True
        return False

    return sum(bad(path) for path in files(run, ".checkpoint"))


def kill(lives: Lives, run: Path, given: Case, kills: int, control: bool = False) -> Killed:
    """Start a run again and again, and kill it: every other time within a write, else at random."""
    rng, met, hurt = np.random.default_rng(0), 0, 0
    for count in range(kills):
        before = newest(run)
        life = lives.start(run, given, control)
        until(lambda before=before: newest(run) > before, lives)
        if count % 2 and not control:
            until(lambda: bool(files(run, ".part")), lives)
        else:
            time.sleep(rng.uniform(0, 0.03))
        os.kill(life, signal.SIGKILL)
        assert lives.wait(life) == -signal.SIGKILL, "the run was over before it was killed"
        met += bool(files(run, ".part"))
        hurt += damaged(run)
        if control and hurt:
            return Killed(count + 1, met, hurt)
        found = Keeper(run / "checkpoints", "").newest(LIMIT)
        assert found is not None
        assert json.loads(found.manifest)["number"] > before, "no progress"
    return Killed(kills, met, hurt)


def survives(lives: Lives, folder: Path, given: Case, kills: int) -> Killed:
    """Kill a run, let it end, and compare it with one that was left alone."""
    whole, run = folder / "whole", folder / "killed"
    assert lives.wait(lives.start(whole, given)) == 0, lives.said()
    done = kill(lives, run, given, kills)
    assert lives.wait(lives.start(run, given)) == 0, lives.said()
    for name in ("metrics.jsonl", "weights.safetensors", "config.toml"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    lines = (run / "times.jsonl").read_text().splitlines()
    assert len(lines) == given.learning["epochs"]
    assert not (run / "checkpoints").exists()
    return done


CI = [case("block_diagonal"), case("uoro"), case("eprop", substrate="mcu8")]


@pytest.mark.parametrize("given", CI, ids=lambda given: given.name)
def test_a_killed_run_comes_to_the_same_bytes(lives, given, tmp_path, record_property):
    done = survives(lives, tmp_path, given, 7)
    assert done.damaged == 0 and done.overlapped >= 1
    record_property("kills", done.kills)
    record_property("kills_within_a_write", done.overlapped)


def test_the_control_that_writes_in_place_fails_the_same_check(lives, tmp_path, record_property):
    done = kill(lives, tmp_path / "run", CI[0], 30, control=True)
    assert done.damaged >= 1
    record_property("kills_until_the_control_failed", done.kills)


def test_a_second_process_is_refused_and_the_lock_dies_with_the_first(
    lives, tmp_path, record_property
):
    run = tmp_path / "run"
    first = lives.start(run, CI[0])
    until(lambda: newest(run) > 0, lives)
    assert lives.wait(lives.start(run, CI[0])) == 2
    assert f"{run} is in use: another process trains in it." in lives.said()
    os.kill(first, signal.SIGKILL)
    assert lives.wait(first) == -signal.SIGKILL
    third = lives.start(run, CI[0])
    before = newest(run)
    until(lambda: newest(run) > before, lives)
    os.kill(third, signal.SIGKILL)
    lives.wait(third)
    record_property("locks", 1)


MANY = [
    case(rule, every, substrate, epochs=250)
    for rule, every, substrate in (
        ("block_diagonal", 4, None), ("eprop", 4, None), ("eprop", 1, "mcu8"), ("bptt", None, None),
        ("rtrl", 4, None), ("uoro", 4, None), ("kf_rtrl", 4, None), ("ostl", 1, None),
        ("dni", 4, None), ("block_diagonal", 4, "mcu8"),
    )
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("given", MANY, ids=lambda given: given.name)
def test_thirty_kills_each(lives, given, tmp_path, record_property):
    done = survives(lives, tmp_path, given, 30)
    assert done.damaged == 0 and done.overlapped >= 5
    record_property("kills", done.kills)
    record_property("kills_within_a_write", done.overlapped)
