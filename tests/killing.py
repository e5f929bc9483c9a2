"""Trainings that are killed at moments that meet a write, and what is left of them."""

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

from tracegrad.run.checkpoint import DamagedError
from tracegrad.run.keeper import Keeper

TESTS = Path(__file__).resolve().parent
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
            "format": case.format,
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
    format: str = "safetensors"

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


def writing(run: Path) -> bool:
    """Whether a checkpoint is being written, in its file or beside it."""
    begun = {int(path.name.split(".")[0]) for path in files(run, ".orbax*")}
    return bool(files(run, ".part")) or max(begun, default=0) > newest(run)


def damaged(run: Path) -> int:
    kept = Keeper(run / "checkpoints", "")

    def bad(path: Path) -> bool:
        try:
            kept.good(path, LIMIT)
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
            until(lambda: writing(run), lives)
        else:
            time.sleep(rng.uniform(0, 0.03))
        os.kill(life, signal.SIGKILL)
        assert lives.wait(life) == -signal.SIGKILL, "the run was over before it was killed"
        met += writing(run)
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
