"""Convolutions by name: a word into layers, refused by part; trained, saved, shown, audited."""

import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.data import Sequences, Task
from tracegrad.data.registry import TASKS, Entry
from tracegrad.errors import UsageError
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.run.build import Ends, build_network, build_task
from tracegrad.run.cli import main
from tracegrad.run.config import Config, LearningConfig, NetworkConfig
from tracegrad.run.convolutions import Part, connections, parse
from tracegrad.run.defaults import defaults
from tracegrad.run.folder import RunFolder
from tracegrad.run.options import parse_train

ROOT = Path(__file__).resolve().parents[2]

STEPS, SHAPE = 8, (1, 4, 5)


def bars(count, seed):
    """A row or a column that is on: two classes that no single line tells apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    counts = np.zeros((count, STEPS, *SHAPE[1:]), np.uint8)
    for sequence, label in zip(counts, labels, strict=True):
        sequence[(slice(None), slice(None), rng.integers(5)) if label else
                 (slice(None), rng.integers(4))] = 1  # fmt: skip
    return Sequences(counts.reshape(count, STEPS, -1), np.full(count, STEPS), labels, 2)


def make_bars():
    return Task("digits", "bars", 20, 2, 1e-3, bars(96, 0), bars(24, 1), shape=SHAPE)


@pytest.fixture
def task(monkeypatch):
    """`digits` is the task of bars."""
    monkeypatch.setitem(TASKS, "digits", Entry(make_bars, "bars", False))
    return make_bars()


def test_a_word_is_its_layers():
    assert parse("x", "12c5s2p1-pool2-32c3-pool3s1p1") == (
        Part(12, 5, 2, 1),
        Part(None, 2, 2, 0),
        Part(32, 3, 1, 0),
        Part(None, 3, 1, 1),
    )
    conv, pool = connections("x", "3c3s2p1-pool2", (2, 8, 9), 2.5, True)
    assert isinstance(conv, tg.Conv) and conv.out_shape == (3, 4, 5)
    assert (conv.gain, conv.biased) == (2.5, True)
    assert isinstance(pool, tg.Pool) and pool.out_shape == (3, 2, 2) and pool.gain == 4.0


@pytest.mark.parametrize("word", ["", "12", "12c", "c5", "12c5-", "0c5", "12c0", "12c5s0", "5x5"])
def test_a_word_that_is_none_is_refused_by_its_part(word):
    with pytest.raises(UsageError, match=r"network\.conv must be layers such as .*, got '"):
        NetworkConfig(conv=word)


def test_what_does_not_fit_on_the_map_is_refused_by_its_part():
    config = Config(network=NetworkConfig(conv="3c3-7c5", hidden=()))
    with pytest.raises(UsageError, match="conv: 7c5 on a map of 3 x 4 x 3 cannot be: A kernel"):
        build_network(config, Ends(30, 2, 1e-3, (1, 6, 5)))


def test_a_task_without_a_map_has_neither_convolutions_nor_shifts():
    config = Config(network=NetworkConfig(conv="3c3", hidden=()))
    with pytest.raises(UsageError, match=r"network\.conv needs lines that are a map .* got 3c3"):
        build_network(config, Ends(30, 2, 1e-3))
    with pytest.raises(UsageError, match=r"learning\.shift needs lines .* of yin_yang are none"):
        build_task(Config("yin_yang", learning=LearningConfig(shift=1)))
    with pytest.raises(UsageError, match=r"network\.hidden must be one or more sizes"):
        NetworkConfig(hidden=())


def test_hidden_layers_follow_the_map(task):
    network = NetworkConfig(conv="2c3-pool2", hidden=(7,), bias=True, read_all=True)
    net = build_network(Config(network=network), Ends(20, 2, 1e-3, SHAPE))
    assert [type(layer.input).__name__ for layer in net.layers] == ["Conv", "Pool", "Dense"]
    assert [layer.input.outputs for layer in net.layers] == [12, 2, 7]
    assert net.readout.input.inputs == 21
    assert [layer.recurrent is not None for layer in net.layers] == [False, False, True]


def test_the_small_set_has_a_convolutional_network():
    net = build_network(defaults("nmnist_small"), Ends(2312, 10, 5e-3, (2, 34, 34)))
    shapes = [layer.input.out_shape for layer in net.layers]
    assert shapes == [(12, 15, 15), (32, 6, 6)] and net.readout.input.inputs == 1152


def test_a_shift_is_of_the_training_set_alone(task):
    config = Config(learning=LearningConfig(shift=1))
    shifted = build_task(config)
    rng = np.random.default_rng
    moved, still = (next(t.train.batches(96, rng(0))) for t in (shifted, task))
    assert (moved.xs != still.xs).any() and (moved.ys == still.ys).all()
    ours, theirs = (next(t.test.batches(24, None)) for t in (shifted, task))
    assert (ours.xs == theirs.xs).all()


def test_a_network_of_convolutions_is_trained_saved_shown_and_loaded(task, tmp_path, capsys):
    path = tmp_path / "run"
    words = [
        "train",
        "digits",
        "--conv",
        "6c3-pool2",
        "--hidden",
        "--no-recurrent",
        "--epochs",
        "12",
    ]
    more = ["--lr", "0.03", "--rate-strength", "0", "--batch", "8"]
    more += ["--update-every", "4", "--input-gain", "3", "--no-pictures", "--out", str(path)]
    assert main([*words, *more]) == 0
    run = RunFolder(path)
    assert run.summary().accuracy > 0.8 and run.config().network.conv == "6c3-pool2"
    net = run.network()
    assert net.layers[0].input.weight.shape == (6, 1, 3, 3) and len(net.layers) == 2
    assert main(["show", str(path)]) == 0
    assert "block_diagonal" in capsys.readouterr().out


def test_an_audit_says_that_a_kernel_sums_over_its_places(capsys):
    words = ["--shape", "1", "4", "5", "--conv", "2c3", "--hidden", "--outputs", "2"]
    assert main(["audit", "decolle", *words, "--neuron", "LIF"]) == 0
    printed = capsys.readouterr().out
    assert "shared" in printed and "layers.0.weight" in printed


def test_the_page_shows_the_network_of_the_example_and_commands_as_they_are(task, tmp_path, capsys):
    text = (ROOT / "docs" / "convolution.md").read_text()
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert python in (ROOT / "examples" / "event_vision.py").read_text()
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    small, digits, audit = (shlex.split(line)[1:] for line in block.splitlines())
    assert parse_train(small[1:]).settings.network.conv == "12c5s2-32c5s2"
    settings = parse_train(digits[1:]).settings
    assert (settings.network.conv, settings.network.hidden) == ("8c3-pool2", ())
    assert main(audit) == 0
    assert "layers.1.weight" in capsys.readouterr().out


def form(rule, steps, carry):
    """What a rule's plan keeps of a kernel."""
    conv = tg.Conv((1, 3, 3), channels=1, kernel=2)
    net = tg.Network(tg.Layer(conv, tg.LIF()), readout=tg.Readout(4, 3), dt=1e-3)
    circuit = jax.eval_shape(lambda: net.init(jax.random.key(0)).discretise())
    plan = choose(rule, tg.losses.mean_squared_error(), Work(steps, carry)).plan
    kept = jax.eval_shape(plan.shaped, circuit).stages[0].weight["current"]
    return {"Convolution": "kernel", "FanIn": "synapses"}.get(type(kept).__name__, "matrix")


def test_the_page_says_of_every_rule_what_it_keeps_of_a_kernel():
    text = (ROOT / "docs" / "convolution.md").read_text()
    rows = re.findall(r"^\| (`.*`) \| (\w+) \| (\w+) \|$", text, re.MULTILINE)
    said = {name: kept for names, *kept in rows for name in re.findall(r"`(\w+)`", names)}
    made = [make() for make in tg.rules.RULES]
    assert said == {rule.name: [form(rule, None, False), form(rule, None, True)] for rule in made}
    assert all(form(rule, 1, True) == form(rule, None, True) for rule in made)
