"""`tracegrad fidelity`: a user's neuron, the files it leaves, and mistakes in one sentence."""

import json
import re

import pytest
from matplotlib.image import imread

from tracegrad.run.cli import main

from .test_user_neuron import NEURON

pytestmark = pytest.mark.usefixtures("as_user")  # a user's neuron may pass plain numbers
SMALL = ["--hidden", "3", "--steps", "6"]
MINE = ["fidelity", "my.py:MyNeuron"]
MISTAKES = [
    (["fidelity"], "fidelity needs a neuron: tracegrad fidelity FILE.py:Class"),
    (["fidelity", "none.py:N"], "There is no file none.py."),
    (["fidelity", "my.py:None"], "None is missing in my.py"),
    ([*MINE, "--rule", "hebb"], "--rule must be all or some of bptt, .*, got hebb"),
    ([*MINE, "--hidden", "0"], "--hidden must be at least 1, got 0"),
    ([*MINE, "--hidden", "many"], "--hidden: invalid literal"),
    ([*MINE, "--dt", "0"], "--dt must be a positive number, got 0"),
    ([*MINE, "--out", "found.txt"], "--out must end in .json, got found.txt"),
    ([*MINE, "--rule", "eprop", "--gain", "1e-9", *SMALL], "Hidden layer 0 gives no output"),
    (["fidelity", "broken.py:MyNeuron", *SMALL], "does not work as a neuron: KeyError: 'beta'"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(NEURON)
    (tmp_path / "broken.py").write_text(NEURON.replace('c["alpha"] * s', 'c["beta"] * s'))
    return tmp_path


def test_a_neuron_of_the_users_own_is_judged(folder, capsys):
    rules = ["--rule", "eprop", "block_diagonal"]
    assert main([*MINE, *rules, *SMALL, "--no-recurrent", "--out", "found.json"]) == 0
    printed = capsys.readouterr().out
    assert "layers.0.neuron.tau_mem" in printed and "Picture: found.png" in printed
    report = json.loads((folder / "found.json").read_text())
    assert report["settings"]["neuron"] == "my.py:MyNeuron"
    block, eprop = report["rules"]  # in the library's order
    assert (block["rule"], eprop["rule"]) == ("block_diagonal", "eprop")
    assert 0.05 < block["rates"][0] < 0.4
    # Without recurrence the block diagonal is exact; e-prop drops the reset path.
    assert max(entry["bias"] for entry in block["parameters"]) < 1e-10
    assert eprop["parameters"][0]["bias"] > 1e-2
    assert imread(folder / "found.png").ndim == 3


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_sentence_and_code_2(folder, arguments, message, capsys):
    before = set(folder.iterdir())
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(message, lines[0])
    assert {path for path in folder.iterdir() if path.suffix} == before


def test_help_is_no_mistake(capsys):
    assert main(["fidelity", "--help"]) == 0
    assert "--no-recurrent" in capsys.readouterr().out
