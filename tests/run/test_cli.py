"""The command line: what it prints, its exit codes, one sentence for a mistake, no traceback."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tracegrad
from tracegrad.data import TASKS
from tracegrad.learn.rules import RULES
from tracegrad.model import NEURONS
from tracegrad.run import cli, train
from tracegrad.run.cli import main
from tracegrad.run.config_file import load_config
from tracegrad.run.folder import open_run
from tracegrad.run.options import _sentence

from .conftest import TINY

SMALL = ["--hidden", "8", "--epochs", "1", "--batch", "16", "--no-pictures"]


def complaint(capsys: pytest.CaptureFixture) -> str:
    """The one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("tracegrad: ")
    return lines[0].removeprefix("tracegrad: ")


MISTAKES = [
    (
        ["fly"],
        "There is no command fly. There are train, resume, demo, show, report, watch, log, stream, "
        "study, fidelity, explain, audit, cost, export, nir, bench, data, tasks, rules, neurons, "
        "substrates",
    ),
    (["train"], "train needs a task: tracegrad train TASK, with digits, spoken-digits"),
    (["train", "digit"], "There is no task digit. There are digits, spoken-digits"),
    (["train", "digits", "--lr", "fast"], "--learning-rate: could not convert .*'fast'"),
    (["train", "digits", "--lr"], "Missing value for argument '--lr/--learning-rate'"),
    (["train", "digits", "--lr", "-1"], "learning.learning_rate must be a positive number, got -1"),
    (["train", "digits", "--speed", "3"], "Unrecognized options: --speed"),
    (["train", "digits", "--hidden", "0"], "network.hidden must be one or more sizes"),
    (["train", "digits", "--rule", "hebb"], "learning.rule must be one of bptt, .*, got 'hebb'"),
    (["train", "digits", "--data", "x"], "digits reads no data folder, got x"),
    (["train", "digits", "--rule", "bptt", "--update-every", "2"], "bptt is offline"),
    (["train", "digits", "--config", "none.toml"], "There is no configuration file none.toml"),
    (["train", "braille"], "braille reads its data from a folder. Give it with --data DIR"),
    (["train", "spoken-digits", "--data", "nowhere"], "There is no data folder nowhere"),
    (["train", "spoken-digits", "--data", "."], "holds no WAV files"),
    (["demo", "--epochs", "many"], "Error parsing --epochs: invalid literal for int"),
    (["resume"], "resume needs the folder of a run first"),
    (["resume", "nowhere"], "nowhere is no run folder"),
    (["resume", "x", "--checkpoint-every", "0"], "checkpoint_every must be at least 1 batch"),
    (["train", "digits", "--checkpoint-every", "0"], "checkpoint_every must be at least 1 batch"),
    (["train", "digits", "--on-nan", "hope"], "on_nan must be one of stop, skip, got 'hope'"),
    (["show"], "show needs one folder"),
    (["show", "nowhere"], "nowhere is no run folder"),
    (["log"], "log needs a run folder: tracegrad log RUN --to tensorboard"),
    (["log", "x", "--to", "paper"], "to must be of tensorboard, wandb, mlflow, got 'paper'"),
    (["study"], "study needs a file: tracegrad study FILE.toml, or one of depth, feedback"),
    (["study", "none.toml"], "There is no study file none.toml. Give a TOML file or one of depth"),
    (["study", "paper", "--workers", "many"], "workers"),
    (["study", "report"], "study report needs a result file"),
    (["study", "report", "none.sqlite"], "There is no result file none.sqlite. Run the study"),
    (["study", "export", "none.sqlite"], "study export needs a result file and a JSON file"),
    (["explain"], "explain needs a rule: tracegrad explain RULE, with bptt, truncated_bptt"),
    (["explain", "hebb"], "There is no rule hebb. There are bptt, truncated_bptt"),
    (["explain", "eprop", "--neuron", "Brain"], "A neuron is named FILE.py:Class or is one of LIF"),
    (["audit", "eprop", "--neuron", "Brain"], "A neuron is named FILE.py:Class or is one of LIF"),
    (["audit", "prop"], "There is no rule prop. There are bptt"),
    (["audit"], "audit needs a rule: tracegrad audit RULE, with bptt"),
    (["explain", "eprop", "--format", "pdf"], "pdf"),
    (["tasks", "--all"], "tracegrad tasks takes no options but show NAME, got --all"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_sentence_and_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert re.search(message, complaint(capsys))
    assert list(tmp_path.iterdir()) == [], "no folder may be left behind"


BOXES = [
    """╭─ Value error ────────────────╮
│ Error parsing --epochs: not  │
│ a number                     │
│ ──────────────────────────── │
│ Argument helptext:           │
╰──────────────────────────────╯""",
    """ Value error
 ------------------------------
  Error parsing --epochs: not
  a number
  -----------------------------
  Argument helptext:
 """,
]


@pytest.mark.parametrize("box", BOXES)
def test_a_complaint_is_read_from_its_box(box):
    assert _sentence(box) == "Error parsing --epochs: not a number."


def test_a_broken_wav_file_is_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0_jackson_0.wav").write_bytes(b"RIFFnonsense")
    assert main(["train", "spoken-digits", "--data", "."]) == 2
    assert "0_jackson_0.wav" in complaint(capsys)
    assert not (tmp_path / "runs").exists()


def test_a_mistake_from_outside_has_code_2_and_no_traceback(tmp_path):
    source = str(Path(tracegrad.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "tracegrad", "train", "digits", "--epochs", "0"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"tracegrad: learning.epochs must be at least 1 [^\n]*\n", done.stderr)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("tasks", [name.replace("_", "-") for name in TASKS]),
        ("rules", [made.__name__ for made in RULES]),
        ("neurons", [neuron.__name__ for neuron in NEURONS]),
    ],
)
def test_lists_have_one_line_each(command, names, capsys):
    assert main([command]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert all(len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["demo", "-h"]])
def test_help_is_no_mistake(arguments, capsys):
    assert main(arguments) == 0
    assert "tracegrad" in capsys.readouterr().out


def test_train_leaves_a_run_that_show_prints(tmp_path, tiny_digits, capsys):
    out = tmp_path / "run"
    assert main(["train", "digits", "--out", str(out), "--seed", "4", "--lr", "0.01", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "block_diagonal" in printed and "every 5 steps" in printed and str(out) in printed
    config = open_run(out).config()
    assert (config.seed, config.learning.learning_rate) == (4, 0.01)
    assert (config.network.hidden, config.learning.update_every) == ((8,), 5)
    assert main(["show", str(out)]) == 0
    assert capsys.readouterr().out == printed


def test_a_gated_cell_trains_and_its_weights_come_back(tmp_path, tiny_digits):
    """Several ports through training, pictures and the folder, with settings that fit the cell."""
    out = tmp_path / "run"
    options = ["--neuron", "GRU", "--bias", "--no-autapses", "--learn-neurons", *SMALL[:-1]]
    assert main(["train", "digits", "--out", str(out), *options]) == 0
    run = open_run(out)
    assert run.config().learning.rate_strength == 0
    layer = run.network().layers[0]
    assert layer.input.weight.shape == (3, 8, 6) and layer.recurrent.weight.shape == (3, 8, 8)
    assert layer.input.bias.shape == (3, 8)
    assert all(float(abs(bias).max()) > 0 for bias in layer.input.bias), "every gate's bias learns"
    assert float(layer.neuron.candidate_bias) != 0.0
    assert (out / "eligibility.png").is_file()


def test_options_override_a_file(tmp_path, tiny_digits, done):
    out = tmp_path / "run"
    file = str(done.path / "config.toml")
    assert (
        main(["train", "--config", file, "--epochs", "1", "--no-pictures", "--out", str(out)]) == 0
    )
    expected = replace(TINY, learning=replace(TINY.learning, epochs=1))
    assert load_config(out / "config.toml") == expected


def test_a_file_for_another_task_is_refused(done, capsys):
    assert main(["train", "braille", "--config", str(done.path / "config.toml")]) == 2
    assert "is for digits, got TASK braille" in complaint(capsys)


def test_an_existing_folder_is_refused(done, tiny_digits, capsys):
    assert main(["train", "digits", *SMALL, "--out", str(done.path)]) == 2
    assert "exists already" in complaint(capsys)


def test_an_interrupted_run_is_unfinished_and_show_says_so(
    tmp_path, tiny_digits, monkeypatch, capsys
):
    out = tmp_path / "run"

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    assert main(["train", "digits", *SMALL, "--out", str(out)]) == 130
    assert complaint(capsys) == f"Interrupted. The run folder {out} is unfinished."
    assert main(["show", str(out)]) == 0
    assert f"{out} is unfinished: digits with block_diagonal, 0 of 1" in capsys.readouterr().out


def test_a_run_that_diverges_is_one_sentence(tmp_path, tiny_digits, capsys):
    out = tmp_path / "run"
    options = ["--lr", "1e308", *SMALL, "--out", str(out)]
    assert main(["train", "digits", *options]) == 2
    message = complaint(capsys)
    assert message.startswith("Training stopped in epoch 1, batch 1: ")
    assert message.endswith(f"The run folder {out} is unfinished.")


def test_the_demo_compares_three_rules(tmp_path, tiny_digits, monkeypatch, capsys):
    def small(task, rule="block_diagonal"):
        every = None if rule == "bptt" else 4
        return replace(TINY, learning=replace(TINY.learning, rule=rule, update_every=every))

    monkeypatch.setattr(cli, "defaults", small)
    out = tmp_path / "demo"
    assert main(["demo", "--epochs", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert (out / "learning.png").is_file()
    for rule in ("block_diagonal", "eprop", "bptt"):
        assert open_run(out / rule).finished and rule in printed
    assert not (out / "bptt" / "eligibility.png").exists()
    assert main(["show", str(out)]) == 0
    assert "every 4 steps" in capsys.readouterr().out
    shutil.rmtree(out / "eprop")
    (out / "bptt" / "summary.json").unlink()
    assert main(["show", str(out)]) == 0
    assert f"{out / 'bptt'} is unfinished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("text", "eps_v[t] = alpha*eps_v[t-1] + x_j"),
        ("latex", r"\begin{align*}"),
        ("markdown", "# eprop"),
    ],
)
def test_explain_prints_a_rule(form, said, capsys):
    assert main(["explain", "eprop", "--neuron", "LIF", "--format", form]) == 0
    assert said in capsys.readouterr().out


def test_a_named_loss_and_readout_train_and_come_back(tmp_path, tiny_digits):
    out = tmp_path / "run"
    options = ["--rule", "bptt", "--loss", "max_over_time", "--readout", "integrator"]
    assert main(["train", "digits", "--out", str(out), *options, *SMALL]) == 0
    run = open_run(out)
    assert run.config().learning.loss == "max_over_time"
    assert type(run.network().readout.neuron).__name__ == "Integrator"
