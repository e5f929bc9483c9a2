"""Substrates on the command line: listed, audited, and learned on."""

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import tracegrad as tg
from tracegrad.inspect import audit
from tracegrad.run import cli
from tracegrad.run.build import build_learner
from tracegrad.run.config_file import from_toml, to_toml
from tracegrad.run.hosting import demand, hosted
from tracegrad.run.train import train
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.weights import by_name, is_weight

from .conftest import TINY


def test_the_list_has_every_platform(capsys):
    assert cli.main(["substrates"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert any(line.startswith("loihi1") and "Loihi 1" in line for line in lines)


def test_an_audit_says_why_a_platform_cannot_host_a_rule(capsys, tmp_path):
    out = tmp_path / "audit.json"
    sizes = ["--inputs", "6", "--hidden", "8", "--outputs", "17", "--neuron", "LIF"]
    command = ["audit", "ottt", *sizes, "--substrate", "reckon", "--out", str(out)]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert "ReckOn cannot host it:" in text
    assert "readout units needs 17, there 16: does NOT fit [R]" in " ".join(text.split())
    found = json.loads(out.read_text())["substrate"]
    assert found["fits"] is False
    verdicts = {check["what"]: check["fits"] for check in found["checks"]}
    assert verdicts["neurons"] and verdicts["learning reads"] and verdicts["synapses"] is None


def test_an_unknown_platform_is_one_sentence(capsys):
    assert cli.main(["train", "digits", "--substrate", "loihi9"]) == 2
    assert "There is no substrate loihi9. There are brainscales2" in capsys.readouterr().err


def test_the_setting_survives_its_file():
    config = replace(TINY, substrate="mcu8")
    assert from_toml(to_toml(config)) == config


def test_a_run_learns_in_the_numbers_of_the_platform(tiny):
    learning = replace(TINY.learning, epochs=2)
    config = replace(TINY, substrate="mcu8", learning=learning)
    learner = build_learner(config, tiny)
    assert learner.substrate == substrate("mcu8")
    done = train(learner, config, tiny)
    lsb = done.learned.placed.weights.lsb
    weights = [(n, np.asarray(a)) for n, a in by_name(done.network) if is_weight(n)]
    for name, values in weights:
        whole = values / np.asarray(lsb[f"0.{name}"])
        assert np.array_equal(whole, np.round(whole)) and np.abs(whole).max() <= 128
    assert done.last.train_loss < done.epochs[0].train_loss
    assert done.last.rate > 0.01


@pytest.mark.parametrize("command", ["substrates"])
def test_the_list_takes_no_options(command, capsys):
    assert cli.main([command, "more"]) == 2
    assert "takes no options" in capsys.readouterr().err


def test_a_run_is_exported_for_a_device_with_single_precision(done, tiny_digits, tmp_path, capsys):
    out = tmp_path / "device"
    command = ["export", "c", str(done.path), "--out", str(out), "--steps", "40"]
    assert cli.main(command) == 2
    assert "Give its numbers: --substrate mcu8, or float32." in capsys.readouterr().err
    assert cli.main([*command, "--substrate", "xylo"]) == 2
    assert "has no part that learns" in capsys.readouterr().err
    assert cli.main([*command, "--substrate", "float32", "--learning-rate", "0.03"]) == 0
    assert "gradient descent, rate 0.03" in capsys.readouterr().out
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    made = subprocess.run(["make", "test"], cwd=out, capture_output=True, text=True)
    assert made.stdout.count("equal for 40") == 2, made.stdout + made.stderr


@pytest.mark.parametrize("outputs", [2, 40])
@pytest.mark.parametrize(
    ("rule", "kept"),
    [("eprop", True), ("block_diagonal", True), ("rtrl", True), ("ottt", False), ("sltt", False)],
)
def test_a_trace_of_every_synapse_is_seen_whatever_the_readout_is(rule, kept, outputs):
    """The readout has none; its many synapses must not hide those of the hidden layer."""
    layer = tg.Layer(tg.Dense(3, 5), tg.LIF(), recurrent=tg.Dense(5, 5))
    net = tg.Network(layer, readout=tg.Readout(5, outputs), dt=1e-3)
    seen = audit(net, getattr(tg.rules, rule)())
    assert ("synapse_trace" in demand(net, seen).reads) is kept
    reckon = {check.what: check for check in hosted(net, seen, "reckon").checks}
    assert ("lacks synapse_trace" in reckon["learning reads"].there) is kept


def test_a_run_is_exported_with_reckon_s_own_rule(done, tiny_digits, tmp_path, capsys):
    out = tmp_path / "device"
    command = ["export", "c", str(done.path), "--out", str(out), "--steps", "40"]
    command += ["--rule", "reckon", "--substrate"]
    assert cli.main([*command, "mcu8"]) == 2
    assert "8-bit microcontroller has others. Use --substrate reckon" in capsys.readouterr().err
    assert cli.main([*command, "reckon", "--learning-rate", "0.5"]) == 2
    assert "has no --learning-rate" in capsys.readouterr().err
    assert cli.main([*command, "reckon"]) == 0
    assert "by ReckOn's own rule" in capsys.readouterr().out
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    made = subprocess.run(["make", "test"], cwd=out, capture_output=True, text=True)
    assert "equal for 40" in made.stdout, made.stdout + made.stderr
