"""`tracegrad export nir`, `tracegrad nir` and `tracegrad cost`: on a finished run."""

import json
import re

import jax
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.inspect.cost import Cost, LearningOperations, SynapticOperations
from tracegrad.run.cli import main
from tracegrad.run.cost_command import _energy
from tracegrad.run.folder import open_run
from tracegrad.substrate.presets import load


@pytest.fixture
def told(capsys):
    """What the command printed, and its exit code."""

    def run(*arguments):
        code = main([str(a) for a in arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture(scope="module")
def exported(done, tmp_path_factory):
    path = tmp_path_factory.mktemp("nir") / "net.nir"
    assert main(["export", "nir", str(done.path), "--out", str(path)]) == 0
    return path


def test_a_run_comes_back_from_its_graph_with_its_rule(done, exported):
    ours, back = open_run(done.path).network(), tg.from_nir(exported)
    assert back.frozen == ours.frozen == ("*.neuron.*",)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(back), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    assert tg.rule_from_nir(exported).name == "block_diagonal"


def test_the_export_says_what_other_tools_will_do(done, tmp_path, told):
    code, out, _ = told("export", "nir", done.path, "--out", tmp_path / "net.nir", "--euler")
    assert code == 0
    assert "time constants for Euler's method of 0.001 s; rule block_diagonal" in out
    assert "layer 0 resets by SubtractReset after the leak" in out


def test_a_graph_is_printed(exported, told):
    code, out, _ = told("nir", exported)
    assert code == 0
    assert "layer 0: 6 -> 8 LIF by Dense, recurrent, SubtractReset" in out
    assert "readout: 8 -> 2 LI by Dense" in out
    assert "learning rule: block_diagonal" in out


def test_the_reset_of_a_bare_graph_is_chosen(shared, told):
    path = shared / "nir_reference/lif/lif_norse.nir"
    code, out, _ = told("nir", path, "--dt", "1e-4", "--euler", "True", "--subtract")
    assert code == 0
    assert "layer 0: 1 -> 1 LIF by Dense, SubtractReset" in out
    assert "frozen: readout.input.weight" in out and "learning rule: none told" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export"], "export needs a format and a run: tracegrad export .*nir.* RUN, got nothing"),
        (["export", "onnx", "x"], "got onnx"),
        (["export", "nir"], "export nir needs a path: tracegrad export nir RUN --out FILE.nir"),
        (["export", "nir", "nowhere"], "--out must name a file that does not exist, got None"),
        (["export", "nir", "nowhere", "--out", "a.nir"], "nowhere is no run folder"),
        (["nir"], "nir needs a path: tracegrad nir FILE"),
        (["nir", "none.nir"], "none.nir: there is no such file"),
        (["cost"], "cost needs the folder of a run: tracegrad cost RUN"),
        (["cost", "nowhere"], "nowhere is no run folder"),
        (["cost", "nowhere", "--samples", "0"], "--samples must be at least 1, got 0"),
        (["cost", "nowhere", "--substrate", "brain"], "There is no substrate brain"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, message, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = told(*arguments)
    assert code == 2 and len(err.splitlines()) == 1
    assert re.search(message, err)


def test_a_run_is_counted(done, tiny_digits, told, tmp_path):
    path = tmp_path / "cost.json"
    code, out, _ = told("cost", done.path, "--substrate", "reckon", "--out", path)
    assert code == 0
    numbers = json.loads(path.read_text())
    assert json.loads(out) == numbers
    assert numbers["samples"] == 13 and numbers["rule"] == "block_diagonal"
    operations, energy = numbers["synaptic_operations"], numbers["energy"]
    assert 0 < operations["Effective_ACs"] < operations["Dense"] == numbers["steps"] * 128
    assert energy["synaptic_operations_picojoules"] == pytest.approx(
        5.3 * operations["Effective_ACs"]
    )
    assert energy["learning_picojoules"] is None and "ReckOn" in energy["source"]
    assert numbers["speed"]["needed_steps_per_second"] == pytest.approx(1000)
    assert numbers["speed"]["steps_per_second"] is None, "no time is cited"
    assert numbers["learning"]["random_draws"] == numbers["learning"]["weight_updates"] > 0
    # A synapse keeps the membrane's trace, and that filtered by the readout: 4 words an update.
    moved = 7 * numbers["learning"]["weight_updates"]
    assert numbers["learning"]["words_moved"] == pytest.approx(moved)


def test_unknown_energy_stays_unknown():
    operations = SynapticOperations(0.0, 10.0, 20.0)
    nothing = LearningOperations(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    found = Cost(1, 1.0, 0, 0, 0.0, 0.0, operations, 0.0, nothing)
    assert _energy(found, load("reckon"))["synaptic_operations_picojoules"] == 53.0
    unknown = _energy(found, load("xylo"))
    assert unknown["synaptic_operations_picojoules"] is None and unknown["source"] is None
    assert _energy(found, None) is None


def test_times_of_a_platform_make_a_rate_of_what_was_counted(done, tiny_digits, tmp_path, told):
    times = {"step": 50_000, "synaptic_operation": 8, "weight_update": 40}
    rows = [f"nanoseconds_per_{k} = {{ value = {v}, source = 'A' }}\n" for k, v in times.items()]
    mine = tmp_path / "mine.toml"
    head = 'name = "Mine"\nkind = "digital"\nsummary = "a chip"\n[sources]\nA = "its manual"\n'
    mine.write_text(f"{head}[limits]\n{''.join(rows)}")
    code, out, _ = told("cost", done.path, "--substrate", mine)
    assert code == 0
    numbers = json.loads(out)
    counts = numbers["synaptic_operations"], numbers["learning"]["weight_updates"]
    operations = counts[0]["Effective_ACs"] + counts[0]["Effective_MACs"]
    took = 50e-6 + (8e-9 * operations + 40e-9 * counts[1]) / numbers["steps"]
    assert took > 50.5e-6, "spikes take a share of the time"
    assert numbers["speed"]["steps_per_second"] == pytest.approx(1 / took)
