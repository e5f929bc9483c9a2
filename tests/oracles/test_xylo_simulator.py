"""Side by side with xylosim: the integer step of the Xylo preset, bit for bit.

xylosim lives in an environment of its own: `make oracle-xylo` makes it and runs these tests.
"""

import json
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest

import xylo_reference as reference
from tracegrad.substrate.presets import load
from tracegrad.substrate.xylo import IntegerStep

HERE = Path(__file__).resolve()
PYTHON = HERE.parents[2] / ".venv-xylo" / "bin" / "python"
SCRIPT = HERE.with_name("xylo_simulator.py")
NETWORKS = 300

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no xylosim: `make oracle-xylo` sets it up and runs these tests"
)


def _simulate(tmp_path, nets):
    given, answer = tmp_path / "nets.json", tmp_path / "answer.json"
    given.write_text(json.dumps(nets))
    command = [str(PYTHON), str(SCRIPT), str(given), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(answer.read_text())


def test_every_bit_of_300_networks(tmp_path):
    nets = [reference.draw(seed) for seed in range(NETWORKS)]
    run, spikes, wrong = jax.jit(IntegerStep.of(load("xylo")).run), 0, []
    for seed, (net, theirs) in enumerate(zip(nets, _simulate(tmp_path, nets), strict=True)):
        layer, events, n = reference.padded(net)
        ours = [np.asarray(a)[:, :n] for a in run(layer, events)]
        current, v, spiked = (np.asarray(part) for part in theirs)
        same = [np.array_equal(a, b) for a, b in zip(ours, (current.T, v.T, spiked), strict=True)]
        wrong += [] if all(same) else [seed]
        spikes += int(spiked.sum())
    assert spikes > 10000
    assert wrong == []
