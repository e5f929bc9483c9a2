"""Two processes train as one does; where one is killed the other says so, and the run goes on."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tracegrad.errors import UsageError
from tracegrad.run.cli import main
from tracegrad.run.mesh import mesh_of
from tracegrad.run.processes import HEARTBEAT, Processes

TESTS = Path(__file__).resolve().parents[1]
EPOCHS = 40
TRAIN = f"train digits --hidden 8 --batch 8 --epochs {EPOCHS}"
OFTEN, NEVER = "--no-pictures --checkpoint-every 1", "--no-pictures --checkpoint-every 999"
BESIDE = "--checkpoint-format orbax"
MESH = "--mesh data=2"
CLOSE = (
    1e-6  # of float64: Adam divides small gradients, whose sums have another order, by their size
)
PATIENCE = 120.0  # seconds on a busy machine


class Group:
    """Processes of the command line; all that are left are killed at the end."""

    def __init__(self, folder: Path):
        self.folder, self.started = folder, []
        kept = {name: value for name, value in os.environ.items() if name != "PJRT_NPROC"}
        self.environment = kept | {
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]),
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "1",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

    def start(self, command: str, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "process_runs.py"), *command.split()],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def two(self, first: str, second: str) -> list[subprocess.Popen]:
        where = f"{MESH} --coordinator 127.0.0.1:{free_port()} --processes 2 --process"
        return [self.start(f"{c} {where} {i}") for i, c in enumerate((first, second))]

    def under_slurm(self, first: str, second: str) -> list[subprocess.Popen]:
        """What `srun` gives its tasks."""
        given = {
            "SLURM_JOB_ID": "7",
            "SLURM_STEP_NODELIST": "127.0.0.1",
            "SLURM_STEP_NUM_NODES": "1",
            "SLURM_NTASKS": "2",
            "JAX_COORDINATOR_PORT": str(free_port()),
        }
        return [
            self.start(f"{c} {MESH} --coordinator auto", **given,
                       SLURM_PROCID=str(i), SLURM_LOCALID=str(i))
            for i, c in enumerate((first, second))
        ]  # fmt: skip

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def ended(process: subprocess.Popen, code: int = 0) -> str:
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == code, said[-2000:]
    return said


@pytest.fixture(scope="module")
def group(tmp_path_factory) -> Iterator[Group]:
    made = Group(tmp_path_factory.mktemp("processes"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def whole(group) -> tuple[Path, Path]:
    """Runs that were left alone: of one process, and of two.

    The second has no folder, and when to keep a checkpoint is for the first to say.
    """
    one, two, none = (group.folder / name for name in ("one", "two", "none"))
    processes = [
        group.start(f"{TRAIN} {OFTEN} --out {one}"),
        *group.under_slurm(f"{TRAIN} {OFTEN} --out {two}", f"{TRAIN} {NEVER} --out {none}"),
    ]
    said = [ended(process) for process in processes]
    assert "block_diagonal" in said[1] and "block_diagonal" not in said[2], "the first alone prints"
    assert not none.exists(), "the first alone writes"
    return one, two


def killed(group: Group, run: Path, victim: int, beside: bool = False) -> tuple[str, int, float]:
    """What the other process says, its code, and how long it took to end.

    With files beside their checkpoints, both write into the folder.
    """
    out = (f"{OFTEN} --out {run}", f"{NEVER} --out {run.with_name('none')}")
    first, second = [f"{NEVER} {BESIDE} --out {run}"] * 2 if beside else out
    processes = group.two(f"{TRAIN} {first}", f"{TRAIN} {second}")
    end = time.monotonic() + PATIENCE
    while len(files(run)) < 2:
        assert time.monotonic() < end and processes[0].poll() is None, "nothing was kept"
        time.sleep(1e-3)
    os.kill(processes[victim].pid, signal.SIGKILL)
    began = time.monotonic()
    said = processes[1 - victim].communicate(timeout=PATIENCE)[0]
    took = time.monotonic() - began
    assert processes[victim].wait(PATIENCE) == -signal.SIGKILL, "it was over before it was killed"
    assert not (run / "summary.json").exists() and 0 < newest(run) < 4 * EPOCHS
    return said, processes[1 - victim].returncode, took


def files(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("*.checkpoint"))


def newest(run: Path) -> int:
    return int(files(run)[-1].stem)


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def apart(one: Path, other: Path) -> float:
    mine, theirs = (load_file(run / "weights.safetensors") for run in (one, other))
    return max(float(np.max(np.abs(mine[name] - theirs[name]))) for name in mine)


def test_two_processes_come_to_what_one_does(whole):
    one, two = whole
    assert apart(one, two) <= CLOSE
    assert (two / "config.toml").read_bytes() == (one / "config.toml").read_bytes()
    lines = [(run / "metrics.jsonl").read_text().splitlines() for run in whole]
    assert len(lines[0]) == len(lines[1]) == EPOCHS


def test_the_second_is_killed_and_the_first_goes_on_alone(whole, group, record_property):
    run = group.folder / "second"
    said, code, took = killed(group, run, victim=1)
    assert code == 2 and took < HEARTBEAT
    assert "tracegrad: Another process has gone or cannot be reached (" in said
    assert f"from which it goes on with: tracegrad resume {run}" in said
    ended(group.start(f"resume {run} {OFTEN}"))
    assert apart(whole[0], run) <= CLOSE
    record_property("processes_killed", 1)


def test_the_first_is_killed_and_two_go_on_to_the_same_bytes(whole, group, record_property):
    """Its word may be that of JAX, which ends it as soon as the first has gone."""
    run, copy = group.folder / "first", group.folder / "copy"
    said, code, took = killed(group, run, victim=0)
    assert code != 0 and took < HEARTBEAT
    assert "Another process has gone" in said or "another task died" in said
    shutil.copytree(run, copy)
    before = content(copy)
    for process in group.two(f"resume {run} {OFTEN}", f"resume {copy} {NEVER}"):
        ended(process)
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (run / name).read_bytes() == (whole[1] / name).read_bytes(), name
    assert content(copy) == before, "the second writes nothing"
    record_property("processes_killed", 1)


def test_two_processes_that_write_their_parts_go_on_to_the_same_bytes(
    whole, group, record_property
):
    """As two again, whose checkpoints are beside their files as before; alone, up to sums."""
    pytest.importorskip("orbax.checkpoint", reason="needs the extra orbax")
    run, alone = group.folder / "parts", group.folder / "alone"
    said, code, took = killed(group, run, victim=1, beside=True)
    assert code == 2 and took < HEARTBEAT and f"tracegrad resume {run}" in said
    parts = sorted(path.name for path in (run / "checkpoints").glob("*.orbax/ocdbt.process_*"))
    assert set(parts) == {"ocdbt.process_0", "ocdbt.process_1"}
    shutil.copytree(run, alone)
    for process in group.two(*[f"resume {run} {NEVER}"] * 2):
        ended(process)
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (run / name).read_bytes() == (whole[1] / name).read_bytes(), name
    ended(group.start(f"resume {alone} {NEVER} --checkpoint-format safetensors"))
    assert apart(whole[0], alone) <= CLOSE
    record_property("processes_killed", 1)


def test_a_mesh_of_several_processes_has_all_of_their_devices(monkeypatch):
    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("jax.devices", lambda: [None, None])
    for text in (None, "data=1"):
        with pytest.raises(UsageError, match="The mesh of 2 processes must have all of their 2 "):
            mesh_of(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"processes": 2}, "Several processes need coordinator, processes and process"),
        ({"coordinator": "a:1"}, "Several processes need coordinator"),
        ({"coordinator": "a:1", "process": 0}, "Several processes need coordinator"),
        ({"coordinator": "auto", "process": 0}, "Several processes need coordinator"),
        ({"coordinator": "a", "processes": 2, "process": 0}, "must be HOST:PORT or auto, got a"),
        ({"coordinator": "a:1", "processes": 2, "process": 2}, r"must lie in \[0, 2\), got 2"),
    ],
)
def test_half_of_it_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        Processes(**given)


def test_the_command_line_refuses_half_of_it_in_a_sentence(capsys):
    assert main(["train", "digits", "--process", "1"]) == 2
    assert "Several processes need coordinator" in capsys.readouterr().err
