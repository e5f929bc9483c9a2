"""Session: one run, from settings to a finished folder."""

from dataclasses import replace
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
from tracegrad.run.build import build_learner, build_task
from tracegrad.run.config import Config
from tracegrad.run.control import Control
from tracegrad.run.folder import RunFolder, Summary, open_run
from tracegrad.run.keeper import Keeper
from tracegrad.run.learner import Learner
from tracegrad.run.lock import locked
from tracegrad.run.mesh import check_batch
from tracegrad.run.pictures import Curves, draw_run
from tracegrad.run.rates import Rates
from tracegrad.run.record import record
from tracegrad.run.snapshot import Snapshots

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
    checkpoints; None: one a minute. There is one after every epoch besides. Over the devices of a
    `mesh` lie batch and neurons; the settings, and so the checkpoints, do not know of it.
    """

    console: Console
    pictures: bool = True
    every: int | None = None
    mesh: Mesh | None = None

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
            if folder.finished:
                raise UsageError(f"{path} is finished. See it with: tracegrad show {path}")
            config = folder.config()
            task = build_task(config)
            return self._noted(self._learner(config, task), config, task, folder)

    def _learner(self, config: Config, task: Task) -> Learner:
        learner = build_learner(config, task)
        if self.mesh is None:
            return learner
        check_batch(self.mesh, config.learning.batch)
        return learner.over(self.mesh)

    def _noted(self, learner: Learner, config: Config, task: Task, folder: RunFolder) -> Finished:
        keeper = folder.keeper(self.every)
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
            seen = train.Watch(watch.batch, watch.epoch, folder.start)
            if jax.process_count() == 1:  # several would have to agree on it
                seen = self._steered(seen, config, task, folder, keeper)
            result = train.train(learner, config, task, seen, keeper)
        folder.save_weights(result.network)
        pictures = self._draw(learner, config, task, result, folder) if self.pictures else []
        summary = folder.finish(config, result)
        keeper.clear()
        return Finished(folder, summary, result.epochs, pictures)

    def _steered(
        self, seen: train.Watch, config: Config, task: Task, folder: RunFolder, keeper: Keeper
    ) -> train.Watch:
        """The same, for who watches to look closer and to change the learning rate."""
        return seen._replace(
            look=Snapshots(folder.path, keeper.warn).after,
            rate=Rates(folder.path, config.learning.learning_rate, keeper.warn).after,
            at=lambda rate: self._learner(_at(config, rate), task),
        )

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


def _at(config: Config, rate: float) -> Config:
    """The settings with another learning rate; of a schedule, it is where that begins."""
    return replace(config, learning=replace(config.learning, learning_rate=rate))


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
        self.control = Control(folder.path)
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
