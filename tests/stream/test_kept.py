"""A stream that is killed goes on with all of its state, to the bits of one that was left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from adam import lenient_adam  # noqa: F401  # a fixture
from stream.flow import as_text
from tiny import LINES
from tracegrad.errors import DataError
from tracegrad.run.cli import main
from tracegrad.run.folder import WEIGHTS
from tracegrad.stream.kept import REACHED, Kept
from tracegrad.stream.sources.records import Event, Label
from tracegrad.stream.start import begin

ROOT = Path(__file__).resolve().parents[2]
MORE = 100  # steps after the kill
SETTINGS = """
format = 2
task = "digits"
[network]
hidden = [8]
neuron = "LIF"
input_gain = 4.0
[learning]
rule = "eprop"
signal = "adaptive"
learning_rate = 1e-2
update_every = 4
"""


def records(first: int, last: int) -> list[Event | Label]:
    """Three events a step, of one half of the lines or the other; every fifth step its class."""
    found: list[Event | Label] = []
    for step in range(first, last):
        rng = np.random.default_rng(step)
        label = step // 20 % 2
        lines = 3 * label + rng.integers(3, size=3)
        now = [Event(1000 * step, int(line)) for line in lines]
        found += [*now, Label(1000 * step, label)] if step % 5 == 4 else now
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("kept")
    (made / "settings.toml").write_text(SETTINGS)
    return made


def arguments(folder: Path, out: str) -> list[str]:
    ends = ["--lines", str(LINES), "--classes", "2", "--dt", "1e-3", "--block", "8"]
    return ["stream", str(folder / "settings.toml"), *ends, "--out", str(folder / out)]


def newest(run: Path) -> int:
    """Steps of the newest checkpoint, 0 before there is one."""
    return max((int(path.stem) for path in run.glob("checkpoints/*.checkpoint")), default=0)


@pytest.fixture(scope="module")
def killed(folder) -> tuple[Path, int]:
    """A stream that was killed, and the steps that its last checkpoint has."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tracegrad", *arguments(folder, "killed"), "--save-every", "0.05"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "JAX_ENABLE_X64": "1"},
    )
    assert process.stdin and process.stdout
    steps, end = 0, time.monotonic() + 100.0
    while newest(folder / "killed") < 20:
        assert time.monotonic() < end and process.poll() is None
        process.stdin.write(as_text(records(steps, steps + 4)))
        process.stdin.flush()
        steps += 4
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return folder / "killed", newest(folder / "killed")


def streamed(capsys, source: list, *call: str) -> str:
    path = Path(call[-1]).with_suffix(".txt")
    path.write_bytes(as_text(source))
    assert main([*call[:-1], str(call[-1]), "--source", str(path)]) == 0
    return capsys.readouterr().err


def test_it_goes_on_with_all_of_its_state(folder, killed, capsys):
    run, steps = killed
    assert steps >= 20 and steps % 4 == 0
    streamed(capsys, records(0, steps + MORE), *arguments(folder, "whole"))
    told = streamed(
        capsys, records(steps, steps + MORE), "stream", str(run), "--out", str(folder / "on")
    )
    assert f"Going on after {steps} steps with all of their state; " in told
    whole, on = ((folder / name / WEIGHTS).read_bytes() for name in ("whole", "on"))
    assert on == whole
    assert json.loads((folder / "on" / "stream.json").read_text())["steps_before"] == steps


def test_the_control_that_takes_the_weights_alone_comes_elsewhere(folder, killed, capsys):
    run, steps = killed
    copy = folder / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints")
    told = streamed(
        capsys, records(steps, steps + MORE), "stream", str(copy), "--out", str(folder / "no")
    )
    assert "Going on" not in told
    assert (folder / "no" / WEIGHTS).read_bytes() != (folder / "on" / WEIGHTS).read_bytes()


def test_another_setting_takes_the_weights_alone(killed):
    assert begin(killed[0], None, None).before.steps == killed[1]
    assert begin(killed[0], None, 8).before.steps == 0


def test_steps_after_the_last_checkpoint_are_counted(killed, tmp_path):
    start = begin(killed[0], None, None)
    kept = Kept(tmp_path, start.config)
    assert kept.before(start.before.state) is None
    kept.save(start.before.state, 8, {"rate.target": 0.5})
    kept.reach(20)  # too soon
    assert kept.before(start.before.state)[1:] == (8, 0, {"rate.target": 0.5})
    kept._said -= 2.0
    kept.reach(20)
    assert kept.before(start.before.state)[1:3] == (8, 12)
    for garbage in (b"", b"{", b'{"steps": "a"}', b"\xff"):
        (tmp_path / REACHED).write_bytes(garbage)
        assert kept.before(start.before.state)[1:] == (8, 0, {"rate.target": 0.5})


def test_a_damaged_checkpoint_falls_back_and_two_are_refused(killed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(killed[0], copy)
    # The kill may have come before the oldest was dropped.
    last, older, *_ = sorted((copy / "checkpoints").glob("*.checkpoint"), reverse=True)
    last.write_bytes(last.read_bytes()[:-1])
    assert begin(copy, None, None).before.steps == int(older.stem)
    for path in (copy / "checkpoints").glob("*.checkpoint"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="No checkpoint in .* is good"):
        begin(copy, None, None)


def test_a_kill_between_weights_and_what_is_said_of_them_is_no_damage(killed, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(killed[0], run)
    told = json.loads((run / "stream.json").read_text())
    there = sha256((run / "weights.safetensors").read_bytes()).hexdigest()
    assert there in (told["weights"], told["weights_before"])
    torn = told | {"weights": "0" * 64, "weights_before": there}
    (run / "stream.json").write_text(json.dumps(torn))
    assert begin(run, None, None).before.steps == killed[1]
    (run / "stream.json").write_text(json.dumps(torn | {"weights_before": "1" * 64}))
    with pytest.raises(DataError, match="is damaged"):
        begin(run, None, None)
