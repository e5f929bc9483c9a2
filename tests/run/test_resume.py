"""A training that is cut short goes on to the same bits; a number that is not finite is met."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tiny import make_tiny
from tracegrad.data import Batch, CopyCurriculum, Task, copy_curriculum
from tracegrad.data.registry import TASKS, Entry
from tracegrad.data.task import AbstractSource
from tracegrad.errors import DataError, UsageError
from tracegrad.run import session
from tracegrad.run import train as training
from tracegrad.run.build import build_learner
from tracegrad.run.cli import main
from tracegrad.run.finite import NotFiniteError
from tracegrad.run.flat import flatten
from tracegrad.run.folder import RunFolder, open_run
from tracegrad.run.keeper import Keeper
from tracegrad.run.train import Progress, Result, Watch, train

from .conftest import TINY, learning


class CutError(Exception):
    """The power is off."""


def cut(epoch: int, batch: int) -> Watch:
    """Stop after a batch."""

    def watch(now: Progress) -> None:
        if (now.epoch, now.batch) == (epoch, batch):
            raise CutError

    return Watch(watch)


def untimed(result: Result) -> list[dict]:
    timed = ("seconds", "microseconds_per_step")
    return [{k: v for k, v in asdict(epoch).items() if k not in timed} for epoch in result.epochs]


def assert_same(ours: Result, theirs: Result) -> None:
    assert untimed(ours) == untimed(theirs)
    for (name, a), (_, b) in zip(
        flatten(ours.learned).items(), flatten(theirs.learned).items(), strict=True
    ):
        assert a.tobytes() == b.tobytes(), name


def test_a_training_of_drawn_data_and_a_curriculum_goes_on(tmp_path):
    """Cut in the middle of an epoch, between two checkpoints, of which the newer is damaged.

    Sequences are drawn one after another, so the generator's state and how far it is matter; the
    level grows every epoch.
    """
    task = copy_curriculum(CopyCurriculum(longest=3, threshold=99.0), count=20, test_count=4)
    config = learning(
        replace(TINY, task="copy_curriculum"), rule="eprop", epochs=3, batch=4, signal="adaptive"
    )
    learner = build_learner(config, task)
    whole = train(learner, config, task)
    assert [epoch.level for epoch in whole.epochs] == [1, 2, 3]
    warnings: list[str] = []

    def keeper() -> Keeper:
        return Keeper(tmp_path / "checkpoints", "settings", 2, warnings.append)

    with pytest.raises(CutError):
        train(learner, config, task, cut(3, 5), keeper())
    first = keeper().files()[0]
    assert int(first.stem) == 14
    first.write_bytes(first.read_bytes()[:-9])
    seen: list[Progress] = []
    before: list[int] = []
    watch = Watch(seen.append, start=lambda epochs: before.append(len(epochs)))
    assert_same(train(learner, config, task, watch, keeper()), whole)
    assert (seen[0].epoch, seen[0].batch, before) == (3, 3, [2]), "from the one before, at 3.2"
    assert len(warnings) == 1 and "000000000014.checkpoint is damaged" in warnings[0]


@pytest.fixture(scope="module")
def cut_run(tmp_path_factory, done) -> Path:
    """A run of the command line that was interrupted, beside `done` that was not."""
    path = tmp_path_factory.mktemp("cut") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "digits", Entry(make_tiny, "two classes", False))

        def interrupted(self, now: Progress) -> None:
            if (now.epoch, now.batch) == (4, 4):
                raise KeyboardInterrupt

        patch.setattr(session._Watch, "batch", interrupted)
        file = str(done.path / "config.toml")
        options = ["--config", file, "--no-pictures", "--out", str(path)]
        assert main(["train", *options, "--checkpoint-every", "3"]) == 130
    return path


def test_resume_leaves_the_same_files(cut_run, done, tiny_digits, tmp_path, capsys):
    """Metrics of a run that is further than its checkpoint, and a line cut short, are put right."""
    run = Path(shutil.copytree(cut_run, tmp_path / "run"))
    assert sorted(path.stem[-2:] for path in (run / "checkpoints").iterdir()) == ["12", "15"]
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "train_l')
    assert main(["resume", str(run), "--no-pictures"]) == 0
    assert "block_diagonal" in capsys.readouterr().out
    for name in ("metrics.jsonl", "weights.safetensors"):
        assert (run / name).read_bytes() == (done.path / name).read_bytes(), name
    assert len(open_run(run).epochs()) == TINY.learning.epochs
    assert open_run(run).summary().weights == done.finished.summary.weights
    assert not (run / "checkpoints").exists()
    assert main(["resume", str(run)]) == 2
    assert f"{run} is finished. See it with: tracegrad show" in capsys.readouterr().err


def test_what_cannot_go_on_is_one_sentence(cut_run, tiny_digits, tmp_path, capsys, monkeypatch):
    """Other settings, other data, all damaged: refused, and nothing is changed."""
    run = Path(shutil.copytree(cut_run, tmp_path / "run"))
    config = (run / "config.toml").read_text()

    def refused(message: str) -> None:
        assert main(["resume", str(run)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and message in lines[0]

    (run / "config.toml").write_text(config.replace("learning_rate = 0.02", "learning_rate = 0.03"))
    refused("is of other settings: the configuration was changed since. Put it back")
    (run / "config.toml").write_text(config)

    def fewer() -> Task:
        task = make_tiny()
        return replace(task, train=replace(task.train, labels=1 - task.train.labels))

    with monkeypatch.context() as context:
        context.setitem(TASKS, "digits", Entry(fewer, "two classes", False))
        refused("is of other data: they were changed since. Put them back")
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"")
    refused("No checkpoint in ")


def test_metrics_and_times_lie_apart(done):
    lines = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    times = [json.loads(line) for line in (done.path / "times.jsonl").read_text().splitlines()]
    assert {"seconds", "microseconds_per_step"} & lines[0].keys() == set()
    assert [line.keys() for line in times] == [{"epoch", "microseconds_per_step", "seconds"}] * 6
    assert [line["skipped"] for line in lines] == [0] * 6


def test_metrics_of_older_runs_are_read(tmp_path):
    """Before times had a file of their own they were among the metrics."""
    run = RunFolder.create(tmp_path / "run", TINY)
    line = '{"epoch": 1, "train_loss": 1.0, "train_accuracy": null, "test_loss": 2.0, '
    line += '"test_accuracy": null, "rate": 0.1, "microseconds_per_step": 3.0, "seconds": 4.0}\n'
    (run.path / "metrics.jsonl").write_text(line)
    assert (run.epochs()[0].seconds, run.epochs()[0].skipped) == (4.0, 0)


@dataclass(frozen=True)
class Poisoned(AbstractSource):
    """A source in whose recorded order some batches of an epoch hold a NaN, or are left out."""

    source: AbstractSource
    bad: tuple[int, ...]
    left_out: bool = False

    @property
    def size(self) -> int:
        return self.source.size

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """The same order in every epoch, so that a batch can be left out."""
        for index, batch in enumerate(self.source.batches(size, None)):
            batch = batch._replace(xs=batch.xs.astype(np.float32))  # a byte is no NaN
            if index in self.bad and rng is not None:
                if self.left_out:
                    continue
                batch.xs[2, 1, 3] = np.nan
            yield batch


def poisoned(task: Task, *bad: int, left_out: bool = False) -> Task:
    return replace(task, train=Poisoned(task.train, bad, left_out))


def test_a_batch_with_a_nan_is_skipped_and_counted(tiny, tiny_learner):
    """As if it had not been there; without a gradient that waits nothing else remembers it."""
    config = learning(TINY, epochs=2, on_nan="skip")
    skipped = train(tiny_learner, config, poisoned(tiny, 1))
    without = train(tiny_learner, config, poisoned(tiny, 1, left_out=True))
    assert [epoch.skipped for epoch in skipped.epochs] == [1, 1]
    assert all(np.isfinite(epoch.train_loss) for epoch in skipped.epochs)
    drop = [{k: v for k, v in line.items() if k != "skipped"} for line in untimed(skipped)]
    assert drop == [{k: v for k, v in line.items() if k != "skipped"} for line in untimed(without)]
    for a, b in zip(
        flatten(skipped.network).values(), flatten(without.network).values(), strict=True
    ):
        assert a.tobytes() == b.tobytes()


def test_a_nan_stops_by_name_with_the_last_good_checkpoint(tiny, tiny_learner, tmp_path):
    keeper = Keeper(tmp_path / "checkpoints", "settings", 1)
    with pytest.raises(NotFiniteError) as caught:
        train(tiny_learner, TINY, poisoned(tiny, 2), keeper=keeper)
    assert str(caught.value).startswith(
        "Training stopped in epoch 1, batch 3: step 2, data: the input is not finite."
    )
    assert keeper.last is not None and int(keeper.last.stem) == 2
    found = keeper.newest(1 << 20)
    assert found is not None
    assert all(np.isfinite(a).all() for a in found.arrays.values() if a.dtype.kind == "f")


def test_an_epoch_of_nans_stops_even_where_they_are_skipped(tiny, tiny_learner):
    config = learning(TINY, on_nan="skip")
    with pytest.raises(NotFiniteError, match="in epoch 1: all of its 4 batches were skipped"):
        train(tiny_learner, config, poisoned(tiny, 0, 1, 2, 3))


def test_the_command_line_names_the_checkpoint_and_how_to_go_on(
    cut_run, tiny_digits, monkeypatch, capsys, tmp_path
):
    run = Path(shutil.copytree(cut_run, tmp_path / "run"))

    def stops(*arguments) -> Result:
        arguments[-1].newest(1 << 26)
        raise UsageError("Training stopped.")

    monkeypatch.setattr(training, "train", stops)
    assert main(["resume", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"tracegrad: Training stopped. The run folder {run} is unfinished. Its last good "
        f"checkpoint is {run}/checkpoints/000000000015.checkpoint, from which it goes on with: "
        f"tracegrad resume {run}\n"
    )


def test_a_manifest_that_does_not_fit_is_refused(tiny, tiny_learner, tmp_path):
    """Its digest is right, so somebody wrote it: a generator that is none."""
    keeper = Keeper(tmp_path / "checkpoints", "settings", 1)
    with pytest.raises(CutError):
        train(tiny_learner, TINY, tiny, cut(1, 2), keeper)
    found = keeper.newest(1 << 20)
    assert found is not None
    table = json.loads(found.manifest)
    table["order"]["state"] = {"state": -1, "inc": 2**200}
    keeper.save(2, found._replace(manifest=json.dumps(table)))
    with pytest.raises(DataError, match="its manifest is wrong"):
        train(tiny_learner, TINY, tiny, keeper=keeper)
