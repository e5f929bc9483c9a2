"""Every epoch comes to a tool once, whatever is resumed or cut short: the tool itself says so."""

import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tracegrad.errors import DataError, UsageError
from tracegrad.log import command
from tracegrad.log.command import follow
from tracegrad.log.mlflow import MLflow
from tracegrad.log.sink import LOG, AbstractSink, numbers, remembered, settings
from tracegrad.log.tensorboard import TensorBoard
from tracegrad.log.wandb import WandB
from tracegrad.run.cli import main
from tracegrad.run.config import Config
from tracegrad.run.folder import RunFolder, write
from tracegrad.run.train import Epoch

EPOCHS = tuple(
    Epoch(n, 2.0 / n, 0.5, 1.5 / n, 0.5 + n / 10, 0.1, 3.0, 1.0, weights={"w": [0.0, 1.0]})
    for n in (1, 2, 3)
)
WRITTEN = {
    "train_loss": 2.0, "train_accuracy": 0.5, "test_loss": 1.5, "test_accuracy": 0.6,
    "rate": 0.1, "microseconds_per_step": 3.0, "seconds": 1.0, "skipped": 0.0,
}  # fmt: skip
Points = list[tuple[int, float]]  # step and value, in the order of the record


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "a run", Config())


class Memory(AbstractSink):
    """Keeps what it is given."""

    def __init__(self, run: RunFolder, done: int = 0):
        self.done, self.points, self.closed = done, [], None

    def add(self, number: int, values: dict[str, float]) -> None:
        self.points.append((number, values["test_loss"]))
        self.done = number

    def close(self, finished: bool) -> None:
        self.closed = finished


def tensorboard(run: RunFolder, name: str) -> Points:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(run.path / "tensorboard"), purge_orphaned_data=False)
    events.Reload()
    return [(point.step, point.value) for point in events.Scalars(name)]


def records(content: bytes) -> Iterator[bytes]:
    """Those of an offline file: LevelDB's log format, with seven bytes of W&B's own before."""
    assert content[:4] in (b":W&B", b"")
    at, whole = 7, b""
    while at + 7 <= len(content):  # it may grow still: what is not whole is not yet there
        left = 32768 - at % 32768  # of a block; less than a head is filling
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        if at + 7 + length > len(content):
            return
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # all of a record, or its last part
            yield whole
            whole = b""


def wandb(run: RunFolder, name: str) -> Points:
    """From its offline files, one for each time that it was called, in their order.

    A process of its own writes them, which may end later than the call: its last record is `exit`.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    points, limit = [], time.monotonic() + 30.0
    for path in sorted((run.path / "wandb").glob("offline-run-*/*.wandb")):
        found, kinds = [], []
        while "exit" not in kinds and time.monotonic() < limit:
            time.sleep(0.1)
            found = list(map(Record.FromString, records(path.read_bytes())))
            kinds = [record.WhichOneof("record_type") for record in found]
        for history in (record.history for record in found if record.HasField("history")):
            values = {one.key or one.nested_key[0]: one.value_json for one in history.item}
            points.append((history.step.num, float(values[name])))
    return points


def mlflow(run: RunFolder, name: str) -> Points:
    client = pytest.importorskip("mlflow").MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("tracegrad").experiment_id])
    assert found.info.run_name == run.path.name and found.data.params["learning.epochs"] == "10"
    return [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 3}', "\xff"])
def test_a_damaged_memory_is_refused_by_name(tmp_path, text):
    (tmp_path / LOG).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="log.json.* Delete it to log as a new run"):
        remembered(RunFolder(tmp_path))


TOOLS = {"tensorboard": (TensorBoard, tensorboard), "wandb": (WandB, wandb)}
TOOLS |= {"mlflow": (MLflow, mlflow)}


@pytest.fixture(params=TOOLS)
def tool(request, tmp_path, monkeypatch):
    """A tool that keeps what it gets below the test's folder."""
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return TOOLS[request.param]


def called(run: RunFolder, make) -> None:
    """What a call of the command does, in a process of its own or not."""
    sink = make(run)
    sink.close(follow(run, [sink], wait=False))


@pytest.mark.filterwarnings("default")  # of the tools
def test_every_point_is_there_once_though_the_run_was_resumed(run, tool):
    make, read = tool
    run.add(EPOCHS[0])
    run.add(EPOCHS[1])
    called(run, make)
    run.start(EPOCHS[:1])  # resumed from a checkpoint after the first epoch
    called(run, make)
    run.add(EPOCHS[1])
    called(run, make)
    run.add(EPOCHS[2])
    called(run, make)
    for name in WRITTEN:
        steps, values = zip(*read(run, name), strict=True)
        assert steps == (1, 2, 3), name
        np.testing.assert_allclose(values, [numbers(epoch)[name] for epoch in EPOCHS], rtol=1e-6)


@pytest.mark.parametrize("lost", [1, 30])
def test_a_record_of_tensorboard_that_was_cut_short_is_written_again(run, lost):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    run.add(EPOCHS[0])
    run.add(EPOCHS[1])
    called(run, TensorBoard)
    (file,) = (run.path / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-lost])
    assert TensorBoard(run).done == 1
    called(run, TensorBoard)
    assert [step for step, _ in tensorboard(run, "test_loss")] == [1, 2]


def test_numbers_are_all_that_an_epoch_came_to_and_settings_have_dotted_names():
    assert numbers(EPOCHS[0]) == WRITTEN
    assert settings(Config())["network.hidden"] == "(128,)"


def test_following_ends_when_the_run_is_finished(run, monkeypatch):
    monkeypatch.setattr(command, "TICK", 0.01)
    sink = Memory(run)
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(follow(run, [sink], True)), daemon=True)
    waiting.start()
    for epoch in EPOCHS:
        run.add(epoch)
    waiting.join(0.2)
    assert waiting.is_alive()
    write(run.path / "summary.json", b"{}")
    waiting.join(20.0)
    assert ended == [True] and sink.points == [(1, 1.5), (2, 0.75), (3, 0.5)]


def test_the_command_names_its_tools_and_says_how_many_epochs_they_have(run, monkeypatch, capsys):
    run.add(EPOCHS[0])
    monkeypatch.setitem(command.SINKS, "tensorboard", Memory)
    assert main(["log", str(run.path), "--no-wait"]) == 0
    told = f"tensorboard has 1 epochs of {run.path}.\n"
    assert capsys.readouterr().out == told
    assert main(["log", str(run.path), "--to", "tensorboard,tensorboard", "--no-wait"]) == 0
    assert capsys.readouterr().out == told, "named twice, it would get every epoch twice"


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_is_missing_is_one_sentence(run, name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(UsageError, match=rf"need the package {name}.*tracegrad\[{name}\]"):
        TOOLS[name][0](run)
    assert not (run.path / "log.json").exists() or Path(run.path / "log.json").stat().st_size
