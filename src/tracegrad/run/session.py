"""Session: one run, from settings to a finished folder."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from tracegrad.data import Task
from tracegrad.errors import UsageError
from tracegrad.run import train
from tracegrad.run.build import NOTHING, build_task, learner_at
from tracegrad.run.changes import offered_changes
from tracegrad.run.config import Config
from tracegrad.run.control import Control
from tracegrad.run.folder import CHECKPOINTS, RunFolder, Summary, open_run
from tracegrad.run.keeper import Keeper
from tracegrad.run.learner import Learner
from tracegrad.run.lock import locked
from tracegrad.run.mesh import check_batch
from tracegrad.run.pictures import Curves, draw_run
from tracegrad.run.record import record
from tracegrad.run.snapshot import Snapshots
from tracegrad.run.storage import Put

TEXT = 74  # columns of a terminal that the rest of the progress line takes


class Finished(NamedTuple):
    """A finished run: its folder, what came out, and the pictures in it."""

    folder: RunFolder
    summary: Summary
    epochs: tuple[train.Epoch, ...]
    pictures: list[Path]


class Session(NamedTuple):
    """Where a run shows its progress, whether it draws pictures, and how often it is kept.

    With `pictures` a sequence is recorded and drawn. `every` counts batches between two
    checkpoints; None: one a minute. There is one after every epoch besides. `put` says where their
    arrays lie; None: as those that there are, or in the file. Over the devices of a `mesh` lie
    batch and neurons; the settings, and so the checkpoints, do not know of it. Where these belong
    to several processes, the first runs or resumes, and all others follow.
    """

    console: Console
    pictures: bool = True
    every: int | None = None
    mesh: Mesh | None = None
    put: Put | None = None

    def run(self, config: Config, path: Path) -> Finished:
        """Train, and leave a finished folder at `path`, which must not exist.

        Everything is checked before the folder is made. If training stops early, the folder stays
        behind without a summary, and the error bears a note that says so.
        """
        task = build_task(config)
        learner = self._learner(config, task)
        folder = RunFolder.create(path, config)
        with locked(path):
            return self._noted(learner, config, task, folder)

    def resume(self, path: Path) -> Finished:
        """Go on with a run that was cut short, to the same bits as one that was not.

        One that was cut short before its first checkpoint begins anew. `UsageError` if the run is
        finished or in use, `DataError` if its checkpoints are all damaged, or of other settings or
        other data.
        """
        folder = open_run(path)
        with locked(path):
            config = _unfinished(folder)
            task = build_task(config)
            return self._noted(self._learner(config, task), config, task, folder)

    @property
    def first(self) -> bool:
        """Whether this process is the first of several, or the only one."""
        return self.mesh is None or jax.process_index() == 0

    def follow(self, path: Path, config: Config | None = None) -> None:
        """Do what the first process does in `run` or, without settings, in `resume`; write nothing.

        From `path` only a checkpoint is read to resume from.
        """
        if config is None:
            folder = open_run(path)
            config, keeper = _unfinished(folder), folder.keeper(self.every, self.put)
        else:
            # A new run has none to read.
            keeper = Keeper(path / CHECKPOINTS, "", self.every, put=self.put)
        task = build_task(config)
        seen = train.Watch(at=partial(self._learner, config, task))
        train.train(self._learner(config, task), config, task, seen, keeper)

    def _learner(
        self, config: Config, task: Task, numbers: Mapping[str, float] = NOTHING
    ) -> Learner:
        learner = learner_at(config, task, numbers)
        if self.mesh is None:
            return learner
        check_batch(self.mesh, config.learning.batch)
        return learner.over(self.mesh)

    def _noted(self, learner: Learner, config: Config, task: Task, folder: RunFolder) -> Finished:
        keeper = folder.keeper(self.every, self.put)
        try:
            return self._run(learner, config, task, folder, keeper)
        except (Exception, KeyboardInterrupt) as error:
            error.add_note(f"The run folder {folder.path} is unfinished.")
            if keeper.last is not None:
                error.add_note(
                    f"Its last good checkpoint is {keeper.last}, from which it goes on with: "
                    f"tracegrad resume {folder.path}"
                )
            raise

    def _run(
        self, learner: Learner, config: Config, task: Task, folder: RunFolder, keeper: Keeper
    ) -> Finished:
        with _bar(self.console) as bar:
            watch = _Watch(bar, config, folder, keeper)
            at = partial(self._learner, config, task)
            seen = train.Watch(watch.batch, watch.epoch, folder.start, at=at)
            if jax.process_count() == 1:  # of several, all would have to look and to change at once
                look = Snapshots(folder.path, keeper.warn).after
                changes = offered_changes(folder.path, config, task, keeper.warn)
                seen = seen._replace(look=look, change=changes.after)
            result = train.train(learner, config, task, seen, keeper)
        folder.save_weights(result.network)
        pictures = self._draw(learner, config, task, result, folder) if self.pictures else []
        summary = folder.finish(config, result)
        keeper.clear()
        return Finished(folder, summary, result.epochs, pictures)

    def _draw(
        self,
        learner: Learner,
        config: Config,
        task: Task,
        result: train.Result,
        folder: RunFolder,
    ) -> list[Path]:
        example = next(task.test.batches(1, None))
        deployed = result.learned._replace(network=learner.deployed(result.learned))
        seen = record(deployed, result.rule, result.loss, example)
        folder.save_record(seen)
        return draw_run(
            seen, Curves({config.learning.rule: result.epochs}, task.floors), folder.path
        )


def _unfinished(folder: RunFolder) -> Config:
    if folder.finished:
        raise UsageError(f"{folder.path} is finished. See it with: tracegrad show {folder.path}")
    return folder.config()


def _bar(console: Console) -> Progress:
    """A live bar on a terminal, nothing elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(6, min(40, console.width - TEXT))),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
    )


class _Watch:
    """Moves the bar, writes metrics into the folder, and heeds who watches."""

    def __init__(self, bar: Progress, config: Config, folder: RunFolder, keeper: Keeper):
        self.bar, self.folder, self.epochs = bar, folder, config.learning.epochs
        self.warn = keeper.warn
        self.control = Control(folder.path, keeper.warn)
        self.line = bar.add_task(config.learning.rule, total=None, state="compiling")

    def batch(self, now: train.Progress) -> None:
        right = "" if now.accuracy is None else f" acc {now.accuracy:.1%}"
        self.bar.update(
            self.line,
            total=self.epochs * now.batches,
            completed=(now.epoch - 1) * now.batches + now.batch,
            state=f"{now.epoch}/{self.epochs} loss {now.loss:.3f}{right} rate "
            f"{now.rate:.1%} {now.microseconds_per_step:.0f} us/step",
        )
        self.control.after(now)

    def epoch(self, epoch: train.Epoch) -> None:
        self.folder.add(epoch)
        if epoch.skipped:
            self.warn(
                f"Epoch {epoch.epoch} skipped {epoch.skipped} batches: a number in them, or in "
                "what was learned from them, was not finite."
            )
