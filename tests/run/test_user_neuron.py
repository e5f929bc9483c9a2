"""A user's neuron is loaded from a file, and what is wrong with the file is one sentence."""

import re

import pytest

from tracegrad.errors import UsageError
from tracegrad.model import ALIF
from tracegrad.run.user_neuron import load_neuron

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
    (NEURON, "LIFF", "A neuron is named FILE.py:Class or is one of LIF, CubaLIF, .*got 'LIFF'"),
    (NEURON, "my.py", "A neuron is named FILE.py:Class"),
    (NEURON, "my.py:", "A neuron is named FILE.py:Class"),
    (NEURON, "other.py:MyNeuron", "There is no file other.py."),
    (NEURON, "my.py:Mine", "Mine is missing in my.py. .*; the file has MyNeuron."),
    (NEURON, "my.py:tg", "tg is no neuron in my.py."),
    ("class N: pass", "my.py:N", "N is no neuron in my.py. .*; the file has none."),
    ("x = 1\nfoo()", "my.py:N", r"my.py could not be run \(line 2\): NameError: name 'foo'"),
    ("def f(:", "my.py:N", "my.py could not be run: SyntaxError: invalid syntax"),
    ("raise SystemExit", "my.py:N", r"my.py could not be run \(line 1\): SystemExit"),
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
