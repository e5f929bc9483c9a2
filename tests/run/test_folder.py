"""Run folder: complete, never overwritten, unfinished until its summary; weights come back."""

import json
import os
import shutil

import jax
import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file, save_file

import tracegrad as tg
from tracegrad.errors import DataError, UsageError
from tracegrad.run import folder as folders
from tracegrad.run.disk import write
from tracegrad.run.evaluate import Evaluator
from tracegrad.run.folder import RunFolder, make_folder, new_path, open_run
from tracegrad.run.session import Session
from tracegrad.run.train import Epoch
from tracegrad.run.weights import load_network, parameters, to_safetensors

from .conftest import TINY, learning


@pytest.fixture
def copy(done, tmp_path) -> RunFolder:
    """A copy of the finished run, to be damaged."""
    return RunFolder(shutil.copytree(done.path, tmp_path / "copy"))


def test_a_finished_folder_is_complete(done):
    assert {path.name for path in done.path.iterdir()} == {
        "config.toml",
        "environment.json",
        "metrics.jsonl",
        "numbers.json",
        "times.jsonl",
        "weights.safetensors",
        "summary.json",
        "confusion.csv",
        "record.npz",
        "input.png",
        "hidden.png",
        "eligibility.png",
        "learning.png",
    }
    for picture in done.finished.pictures:
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
    run = open_run(done.path)
    assert run.finished and run.config() == done.config
    assert tuple(run.epochs()) == done.finished.epochs
    assert run.summary() == done.finished.summary
    assert run.summary().accuracy == done.finished.epochs[-1].test_accuracy


def test_the_environment_says_what_made_the_run(done):
    about = json.loads((done.path / "environment.json").read_text())
    assert set(about) == {
        "date", "python", "platform", "processor", "versions", "devices", "float", "commit",
    }  # fmt: skip
    assert about["float"] == "float64" and about["versions"]["jax"] == jax.__version__
    assert about["devices"] == [str(device) for device in jax.devices()]


def test_weights_come_back_bit_for_bit(done, tiny):
    network = open_run(done.path).network()
    score = Evaluator(tg.losses.cross_entropy())(network, tiny.test.batches(8, None))
    summary = done.finished.summary
    assert (score.accuracy, score.loss, score.rate) == (
        summary.accuracy,
        summary.loss,
        summary.rate,
    )
    assert network.frozen == ("*.neuron.*",) and network.dt == tiny.dt
    stored = load_file(done.path / "weights.safetensors")
    assert len({to_safetensors(network) for _ in range(20)}) == 1, "one order of the metadata"
    names = {name + ".log" if "neuron" in name else name for name in
             jax.tree.leaves(network.names())}  # fmt: skip
    assert stored.keys() == parameters(network).keys() == names


def test_an_existing_folder_is_never_overwritten(done):
    before = {path: path.stat().st_mtime_ns for path in done.path.iterdir()}
    with pytest.raises(UsageError, match="tiny exists already. Give another folder with --out"):
        RunFolder.create(done.path, done.config)
    assert before == {path: path.stat().st_mtime_ns for path in done.path.iterdir()}


def test_a_folder_that_cannot_be_made_is_refused(done):
    with pytest.raises(UsageError, match="cannot be made: Not a directory"):
        make_folder(done.path / "config.toml" / "below")


def test_new_paths_are_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = new_path("spoken_digits", "eprop")
    assert str(first).startswith("runs/") and str(first).endswith("-spoken-digits-eprop")
    monkeypatch.setattr(folders, "datetime", _Frozen)
    frozen = new_path("digits")
    frozen.mkdir(parents=True)
    assert new_path("digits").name == f"{frozen.name}-2"


class _Frozen:
    @staticmethod
    def now():
        class Moment:
            def strftime(self, form):
                return "now"

        return Moment()


def test_without_a_summary_a_run_is_unfinished(copy):
    (copy.path / "summary.json").unlink()
    assert not copy.finished
    with pytest.raises(DataError, match="is unfinished: it has no summary.json"):
        copy.summary()
    with pytest.raises(DataError, match="is unfinished"):
        copy.network()


def test_a_line_cut_short_is_left_out(copy):
    metrics = copy.path / "metrics.jsonl"
    text = metrics.read_text()
    metrics.write_text(text[:-20])
    assert len(copy.epochs()) == TINY.learning.epochs - 1
    metrics.write_text("{}\n")
    with pytest.raises(DataError, match="metrics.jsonl is broken"):
        copy.epochs()


def test_metrics_are_on_disk_after_every_epoch(tmp_path):
    run = RunFolder.create(tmp_path / "run", TINY)
    epoch = Epoch(1, 0.5, None, 0.25, None, 0.1, 3.0, 1.0)
    assert run.epochs() == []
    run.add(epoch)
    assert run.epochs() == [epoch]


def test_an_epoch_that_ends_while_metrics_are_read_breaks_nothing(tmp_path, monkeypatch):
    """Also where a resumed run begins anew meanwhile: whoever watches reads at any time."""
    run = RunFolder.create(tmp_path / "run", TINY)
    one, other = (Epoch(k, 0.5, None, 0.25, None, 0.1, 3.0, 1.0) for k in (1, 2))
    run.add(one)
    read, write = RunFolder._table, folders.write
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_table", lambda self, name: (read(self, name), run.add(other))[0])
        assert run.epochs() == [one]
    seen = []
    monkeypatch.setattr(folders, "write", lambda *a: (write(*a), seen.append(run.epochs()))[0])
    run.start((one,))
    assert seen == [[one], [one]]


def test_damaged_files_are_refused(copy):
    weights = copy.path / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match="is damaged: its SHA-256"):
        copy.network()
    weights.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        copy.network()
    (copy.path / "summary.json").write_text("{")
    with pytest.raises(DataError, match="summary.json is broken"):
        copy.summary()


def test_weights_of_another_network_are_refused(copy):
    path = copy.path / "weights.safetensors"
    good, about = load_file(path), {"lines": "6", "outputs": "2", "dt": "0.001"}
    name = "layers.0.input.weight"

    def refused(arrays, message, metadata=about):
        save_file(arrays, path, metadata)
        with pytest.raises(DataError, match=message):
            load_network(copy.config(), path)

    refused({name: good[name]}, "must hold layers.0.input.weight, .*, got layers.0.input.weight")
    refused(good | {name: good[name].T.copy()}, r"float64 of shape \(8, 6\), got .*\(6, 8\)")
    refused(good | {name: good[name].astype(np.float32)}, "must be float64 .* got float32")
    refused(good | {name: good[name] * np.nan}, "layers.0.input.weight must be finite")
    refused(good, "lacks lines, outputs and dt", {"lines": "6"})
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="these weights cannot be read"):
        load_network(copy.config(), path)
    save_file(good, path, about)
    load_network(copy.config(), path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write(path, b"old")

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="No space"):
        write(path, b"new")
    assert path.read_bytes() == b"old"


def test_what_cannot_be_trained_leaves_no_folder(tmp_path, tiny_digits):
    config = learning(TINY, rule="bptt")  # update_every is 4
    with pytest.raises(UsageError, match="offline"):
        Session(Console(quiet=True)).run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_folders_are_no_runs(tmp_path):
    with pytest.raises(UsageError, match="is no run folder: it has no config.toml"):
        open_run(tmp_path)


def test_epochs_hold_quantiles_of_weights_and_rates(done):
    """Those of the last epoch are of the weights that were stored; by sorting them."""
    last, stored = open_run(done.path).epochs()[-1], load_file(done.path / "weights.safetensors")
    assert last.weights.keys() == {name for name in stored if ".neuron." not in name}
    for name, quantiles in last.weights.items():
        ordered = np.sort(stored[name], axis=None)
        middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        assert (quantiles[0], quantiles[-1]) == (ordered[0], ordered[-1])
        assert quantiles[3] == pytest.approx(middle)
        assert quantiles == sorted(quantiles)
    rates = last.rates["layers.0"]
    assert 0 <= rates[0] < rates[3] < rates[-1] <= 1


def test_the_confusion_of_a_run_counts_its_test_set(done, tiny):
    run, summary = open_run(done.path), done.finished.summary
    table = run.confusion()
    assert table.shape == (2, 2) and table.sum() == tiny.test.size
    assert np.trace(table) == summary.accuracy * tiny.test.size
    np.testing.assert_array_equal(table.sum(axis=1), [7, 6])  # 13 labels, alternating from 0
    assert summary.plan.startswith("Chunk")
