"""MODEL, the word behind the rule of an audit: a run, a task or a neuron, and nothing else."""

import json
from pathlib import Path

import pytest

from tracegrad.data import TASKS
from tracegrad.data.registry import Entry
from tracegrad.errors import UsageError
from tracegrad.model import NEURONS
from tracegrad.run import cli
from tracegrad.run.named_model import NamedModel, named_model

ROOT = Path(__file__).resolve().parents[2]
SIZES = ["--inputs", "4", "--hidden", "3", "--outputs", "2"]
GLIF = f"{ROOT / 'examples' / 'own_neuron.py'}:Glif"


def audited(capsys, tmp_path, *words):
    """What `tracegrad audit eprop WORDS` prints, and the numbers it writes."""
    out = tmp_path / "audit.json"
    assert cli.main(["audit", "eprop", *map(str, words), "--out", str(out)]) == 0
    return capsys.readouterr().out, json.loads(out.read_text())


def refused(capsys, *words):
    assert cli.main(["audit", "eprop", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_a_word_means_a_task_a_neuron_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert named_model("delayed-xor-100") == NamedModel(task="delayed_xor_100")
    assert named_model("digits") == NamedModel(task="digits"), "a name goes before a folder"
    assert named_model("./digits") == NamedModel(run=Path("digits"))
    assert named_model("mine.py:Mine") == NamedModel(neuron="mine.py:Mine")
    with pytest.raises(UsageError, match="There is no model nowhere: .* is one of LIF, "):
        named_model("nowhere")


def test_no_neuron_has_the_name_of_a_task():
    assert not {made.__name__ for made in NEURONS} & set(TASKS)


def test_a_run_is_the_same_as_with_its_option(done, tiny_digits, capsys, tmp_path):
    by_word = audited(capsys, tmp_path, done.path)
    assert by_word == audited(capsys, tmp_path, "--run", done.path)
    assert by_word == audited(capsys, tmp_path, done.path, "--run", done.path)
    assert "10 neurons, 128 synapses" in " ".join(by_word[0].split())


def test_a_task_brings_the_network_that_train_gives_it(capsys, tmp_path):
    text, numbers = audited(capsys, tmp_path, "digits", "--substrate", "loihi2")
    assert numbers["synapses"] == 64 * 128 + 128 * 128 + 128 * 10
    assert "Loihi 2 cannot host it:" in text and "y1 = 64*max(0, psi[t])" in text


def test_a_task_that_reads_a_folder_is_given_it(capsys, tmp_path, tiny, monkeypatch):
    monkeypatch.delenv("TRACEGRAD_DATA", raising=False)
    assert "braille reads its data from a folder" in refused(capsys, "braille")
    asked = []
    entry = Entry(lambda data: asked.append(data) or tiny, "two classes", True)
    monkeypatch.setitem(TASKS, "braille", entry)
    _, numbers = audited(capsys, tmp_path, "braille", "--data", tmp_path)
    assert asked == [tmp_path] and numbers["synapses"] > 0


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("neuron", ["ALIF", GLIF])
def test_a_neuron_is_the_same_as_with_its_option(neuron, capsys, tmp_path):
    by_word = audited(capsys, tmp_path, neuron, *SIZES)
    assert by_word == audited(capsys, tmp_path, "--neuron", neuron, *SIZES)
    assert by_word != audited(capsys, tmp_path, *SIZES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--run", "x"], "MODEL is digits, and --run x is another. Leave one out."),
        (["LIF", "--run", "x"], "MODEL is LIF, and --run x is another. Leave one out."),
        (["LIF", "--neuron", "ALIF"], "MODEL is LIF, and --neuron ALIF is another."),
        (["digits", "--neuron", "LIF"], "digits has a network of its own. Leave out the options"),
        (["digits", "--hidden", "8"], "digits has a network of its own. Leave out the options"),
        (["digits", "--data", "x"], "digits reads no data folder, got x"),
        (["LIF", "--data", "x"], "--data is the folder of a task: give that as MODEL"),
        (["digits", "--samples", "3"], "--samples are measured on with --run and --substrate"),
        (["LIF", "more"], "more"),
    ],
)
def test_what_contradicts_or_says_nothing_is_refused(words, message, capsys):
    assert message in refused(capsys, *words)


def test_folders_that_are_no_run_or_another_are_refused(done, capsys, tmp_path):
    assert "is no run folder: it has no config.toml" in refused(capsys, tmp_path)
    said = refused(capsys, done.path, "--run", tmp_path)
    assert f"MODEL is {done.path}, and --run {tmp_path} is another. Leave one out." in said
    assert "has a network of its own" in refused(capsys, done.path, "--neuron", "LIF")
    assert "has a network of its own" in refused(capsys, "--run", done.path, "--neuron", "CubaLIF")
