"""A user's neuron is loaded from a file, and what is wrong with the file is one sentence."""

import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tracegrad.errors import DataError, UsageError
from tracegrad.model import ALIF
from tracegrad.run.cli import main
from tracegrad.run.folder import RunFolder
from tracegrad.run.user_neuron import load_neuron

ROOT = Path(__file__).resolve().parents[2]
NEURON = """
import tracegrad as tg

class MyNeuron(tg.AbstractNeuron):
    tau_mem: tg.Positive = tg.positive(20e-3)
    reset: tg.AbstractReset = tg.SubtractReset()
    surrogate: tg.AbstractSurrogate = tg.SuperSpike()

    def coefficients(self, dt): return {"alpha": tg.decay(dt, self.tau_mem)}
    def init(self, c): return {"v": 0.0 * c["alpha"]}
    def step(self, c, s, z, i): return {"v": self.reset(c["alpha"] * s["v"] + i, z, 1.0)}
    def output(self, c, s): return self.surrogate(s["v"] - 1.0)
"""
MISTAKES = [  # (content of my.py, how it is named, the sentence)
    (NEURON, "LIFF", "A neuron is named FILE.py:Class or is one of LIF, IF, CubaLIF, .*got 'LIFF'"),
    (NEURON, "my.py", "A neuron is named FILE.py:Class"),
    (NEURON, "my.py:", "A neuron is named FILE.py:Class"),
    (NEURON, "other.py:MyNeuron", "There is no file other.py."),
    (NEURON, "my.py:Mine", "Mine is missing in my.py. .*; the file has MyNeuron."),
    (NEURON, "my.py:tg", "tg is no neuron in my.py."),
    ("class N: pass", "my.py:N", "N is no neuron in my.py. .*; the file has none."),
    ("x = 1\nfoo()", "my.py:N", r"my.py could not be run \(line 2\): NameError: name 'foo'"),
    ("def f(:", "my.py:N", "my.py could not be run: SyntaxError: invalid syntax"),
    ("raise SystemExit", "my.py:N", r"my.py could not be run \(line 1\): SystemExit"),
    (NEURON.replace('c["alpha"] * s', 'c["beta"] * s'), "my.py:MyNeuron", "KeyError: 'beta'"),
    (NEURON.replace("def output", "def out"), "my.py:MyNeuron", "without arguments: TypeError: .*"),
    (
        NEURON.replace(" = tg.positive(20e-3)", ""),
        "my.py:MyNeuron",
        "MyNeuron of my.py must be made without arguments: TypeError",
    ),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("as_user")
def test_a_neuron_from_a_file_and_one_of_the_library(folder):
    (folder / "my.py").write_text("from __future__ import annotations\n" + NEURON)
    made = load_neuron("my.py:MyNeuron")
    assert type(made).__name__ == "MyNeuron" and set(made.coefficients(1e-3)) == {"alpha"}
    assert type(load_neuron(f"{folder / 'my.py'}:MyNeuron")).__name__ == "MyNeuron"
    assert isinstance(load_neuron("ALIF"), ALIF)


@pytest.mark.parametrize(("text", "named", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(folder, text, named, sentence):
    (folder / "my.py").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_neuron(named)
    assert re.search(sentence, str(caught.value)) and "\n" not in str(caught.value)


SMALL = ["--hidden", "4", "--epochs", "1", "--batch", "16", "--no-pictures"]


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("none.py:MyNeuron", "There is no file none.py."),
        ("my.py:Mine", "Mine is missing in my.py."),
        ("my.py:tg", "tg is no neuron in my.py."),
        ("Lif", "A neuron is named FILE.py:Class or is one of LIF"),
        ("my.py:MyNeuron --tau-syn 0.1", "network.tau_syn must be left out for MyNeuron"),
    ],
)
def test_training_refuses_a_wrong_neuron_before_anything_is_made(folder, named, sentence, capsys):
    (folder / "my.py").write_text(NEURON)
    assert main(["train", "digits", *SMALL, "--out", "run", "--neuron", *named.split()]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and sentence in lines[0], lines
    assert not (folder / "run").exists()


@pytest.mark.usefixtures("as_user", "tiny_digits")
def test_a_run_holds_its_neuron_whatever_becomes_of_the_file(folder, monkeypatch, capsys):
    (folder / "my.py").write_text(NEURON)
    train = ["train", "digits", *SMALL, "--neuron", "my.py:MyNeuron", "--tau-mem", "0.015"]
    assert main([*train, "--out", "run"]) == 0
    printed = capsys.readouterr().out
    digest = hashlib.sha256(NEURON.encode()).hexdigest()
    made = json.loads((folder / "run" / "environment.json").read_text())
    assert made["neuron"] == {"source": "my.py", "sha256": digest}
    assert (folder / "run" / "neuron.py").read_text() == NEURON
    assert 'neuron = "neuron.py:MyNeuron"' in (folder / "run" / "config.toml").read_text()

    (folder / "my.py").write_text("broken(")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")  # the copy is found beside the configuration
    assert main(["show", "../run"]) == 0
    assert capsys.readouterr().out == printed.replace("folder: run", "folder: ../run")
    neuron = RunFolder(folder / "run").network().layers[0].neuron
    assert type(neuron).__name__ == "MyNeuron"
    assert float(neuron.tau_mem.value) == pytest.approx(0.015)
    again = ["train", "--config", "../run/config.toml", "--no-pictures", "--out", "again"]
    assert main(again) == 0
    assert (folder / "elsewhere" / "again" / "neuron.py").read_text() == NEURON

    copy = folder / "run" / "neuron.py"
    copy.write_text(NEURON.replace("1.0)", "2.0)"))
    with pytest.raises(DataError, match="neuron.py is damaged: its SHA-256 is not that of env"):
        RunFolder(folder / "run").network()
    copy.unlink()
    with pytest.raises(UsageError, match="There is no file .*neuron.py"):
        RunFolder(folder / "run").network()


def page() -> list[str]:
    """The commands of the page on your own neuron."""
    text = (ROOT / "docs" / "own_neuron.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_page_shows_the_neuron_of_the_example_and_five_commands():
    text = (ROOT / "docs" / "own_neuron.md").read_text()
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shown = python[python.index("class") :].strip()
    assert shown in (ROOT / "examples" / "own_neuron.py").read_text()
    commands = [line.split()[1] for line in page()]
    assert commands == ["explain", "fidelity", "audit", "train", "show"]


@pytest.mark.usefixtures("as_user", "tiny_digits")
@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (("explain", "train", "show"), ("eps_fast[t]", "Run folder: glif")),
        pytest.param(
            ("fidelity", "audit"),
            ("layers.0.neuron.tau_slow", "words carried", "coefficients.push"),
            marks=pytest.mark.slow,  # test_fidelity and test_cli have cheaper ones
        ),
    ],
)
def test_the_commands_of_the_page_run_as_they_stand(folder, commands, said, capsys):
    (folder / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "own_neuron.py", folder / "examples")
    for line in page():
        if line.split()[1] in commands:
            assert main(shlex.split(line)[1:]) == 0, line
    printed = capsys.readouterr().out
    assert all(words in printed for words in said)
