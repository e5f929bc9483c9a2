"""tracegrad stream: from a run, settings or its own folder; Ctrl-C; a mistake is one sentence."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stream.flow import as_text, flow
from tiny import LINES, TINY
from tracegrad.run.cli import main
from tracegrad.run.folder import RunFolder, open_run
from tracegrad.run.weights import parameters
from tracegrad.stream.sources.records import Event, Label
from tracegrad.stream.start import begin

SETTINGS = """
format = 2
task = "digits"
[network]
hidden = [8]
neuron = "LIF"
[learning]
rule = "eprop"
update_every = 4
"""
ENDS = ["--lines", str(LINES), "--classes", "2", "--dt", "1e-3"]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "events.txt"
    path.write_bytes(as_text(flow(400, seed=1)))
    return path


def streamed(capsys, *arguments: object) -> tuple[list[dict], str]:
    """Predictions and what was told."""
    assert main(["stream", *map(str, arguments)]) == 0
    told = capsys.readouterr()
    return [json.loads(line) for line in told.out.splitlines()], told.err


def test_a_run_goes_on_learning_and_so_does_its_stream(done, source, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    said, told = streamed(capsys, done.path, "--source", source, "--out", first, "--scores")
    records = flow(400, seed=1)
    assert "Events: 400 read = 400 learned + 0 dropped + 0 refused." in told
    assert "Labels: 44 read = " in told and "Latency of the last steps: p50 " in told
    assert [p["step"] for p in said] == list(range(len(said))) and len(said) > 80
    assert all(p["class"] == int(np.argmax(p["scores"])) for p in said)
    labelled = [p for p in said if "label" in p]
    assert len(labelled) > 20 and all(np.isfinite(p["loss"]) for p in labelled)
    ends = {r.time // 1000 for r in records if isinstance(r, Event)}
    assert said[0]["time"] == 1000 * min(ends) and said[-1]["time"] == 1000 * max(ends)
    run = RunFolder(first)
    assert run.config().learning.update_every == TINY.learning.update_every
    assert not run.config().learning.cosine and not run.finished
    content = json.loads((first / "stream.json").read_text())
    assert content["counts"]["events"]["learned"] == 400
    before, after = (begin(path, None, None).before.state.network for path in (done.path, first))
    trained = open_run(done.path).network()
    assert all(np.array_equal(a, parameters(trained)[n]) for n, a in parameters(before).items())
    assert any(not np.array_equal(a, parameters(before)[n]) for n, a in parameters(after).items())
    _, told = streamed(capsys, first, "--source", source, "--out", second)
    assert "400 learned" in told


def test_damaged_weights_are_refused(done, source, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(done.path, copy)
    (copy / "summary.json").unlink()
    assert main(["stream", str(copy)]) == 2
    assert "is unfinished: it has neither a summary nor a readable stream.json" in (
        capsys.readouterr().err
    )
    (copy / "stream.json").write_text('{"weights": "00"}')
    assert main(["stream", str(copy)]) == 2
    assert "weights.safetensors is damaged" in capsys.readouterr().err


@pytest.fixture
def settings(tmp_path) -> Path:
    (tmp_path / "settings.toml").write_text(SETTINGS)
    return tmp_path / "settings.toml"


MISTAKES = [
    (["stream"], "stream needs the folder of a run or a file of settings"),
    (["stream", "nowhere.toml"], "There is no configuration file nowhere.toml"),
    (["stream", "SETTINGS", "--lines", "6"], "Give lines, classes and dt together"),
    (["stream", "SETTINGS", "--when-full", "explode"], "explode"),
    (["stream", "SETTINGS", "--on-bad", "pray"], "pray"),
    (["stream", "SETTINGS", *ENDS, "--source", "nowhere"], "nowhere: there is no such file"),
    (["stream", "SETTINGS", *ENDS, "--source", "udp://x:y"], "udp://x:y is no address"),
    (["stream", "SETTINGS", *ENDS, "--source", "udp://127.0.0.1"], "Give udp://HOST:PORT"),
    (["stream", "SETTINGS", *ENDS, "--follow"], "follow is for a file that grows, got -"),
    (["stream", "SETTINGS", *ENDS, "--queue", "8"], "queue must be at least a block of 64 steps"),
    (["stream", "SETTINGS", *ENDS, "--save-every", "0"], "save_every must be positive seconds"),
    (["stream", "SETTINGS", *ENDS, "--update-every", "0"], "update_every must be at least 1"),
    (["stream", "SETTINGS", *ENDS[:-1], "nan"], "dt must be positive"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_mistakes(arguments, sentence, settings, capsys, monkeypatch):
    monkeypatch.chdir(settings.parent)
    named = [str(settings) if part == "SETTINGS" else part for part in arguments]
    assert main(named) == 2
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 1 and sentence in lines[0] and said.out == ""
    assert not (settings.parent / "runs").exists()


def test_an_offline_rule_and_a_task_of_values_are_refused(settings, capsys):
    settings.write_text(SETTINGS.replace("eprop", "bptt").replace("update_every = 4", ""))
    assert main(["stream", str(settings), *ENDS]) == 2
    assert "bptt is offline" in capsys.readouterr().err
    settings.write_text(SETTINGS.replace("digits", "pattern_generation"))
    assert main(["stream", str(settings)]) == 2
    assert "A stream has classes as labels, but pattern_generation learns to reach values" in (
        capsys.readouterr().err
    )


def test_bad_records_stop_it_or_are_skipped(settings, tmp_path, capsys):
    source = tmp_path / "bad.txt"
    source.write_text("1000 1\n2000 2\nnan 3\n3000 3\n")
    call = ["stream", str(settings), *ENDS, "--source", str(source), "--out"]
    assert main([*call, str(tmp_path / "stop")]) == 2
    told = capsys.readouterr()
    assert "tracegrad: A line must be" in told.err and len(told.out.splitlines()) == 2
    assert "3 read = 2 learned + 0 dropped + 1 refused" in told.err
    assert main([*call, str(tmp_path / "skip"), "--on-bad", "skip"]) == 0
    told = capsys.readouterr()
    assert "4 read = 3 learned + 0 dropped + 1 refused" in told.err
    assert len(told.out.splitlines()) == 3 and "Refused: 1 line of text." in told.err


def test_ctrl_c_ends_it_with_counts_and_weights(settings, tmp_path):
    out, root = tmp_path / "out", Path(__file__).resolve().parents[2]
    call = [sys.executable, "-m", "tracegrad", "stream", str(settings), *ENDS, "--out", str(out)]
    process = subprocess.Popen(
        call,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "JAX_ENABLE_X64": "1"},
    )
    assert process.stdin and process.stdout
    records = [Event(1000 * step, step % LINES) for step in range(100)]
    process.stdin.write(as_text([*records, Label(99_000, 1)]) + b"5")  # half a line
    process.stdin.flush()
    first = [json.loads(process.stdout.readline()) for _ in range(96)]  # its last window is open
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    code = process.wait(timeout=100)  # its input stays open meanwhile
    rest, told = process.communicate()
    assert code == 0, told
    assert [p["step"] for p in first] == list(range(96)) and len(rest.splitlines()) == 4
    assert b"Events: 100 read = 100 learned + 0 dropped + 0 refused." in told
    assert b"Labels: 1 read = 1 learned" in told
    content = json.loads((out / "stream.json").read_text())
    assert content["counts"]["steps_learned"] == 100
    assert begin(out, None, None).config.learning.update_every == 4
