"""Watched: a stream that a page looks at, pauses and steers, through files of its folder."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tracegrad.learn.plans.plan import Data
from tracegrad.run.build import learner_at
from tracegrad.run.changes import offered_changes
from tracegrad.run.control import Control
from tracegrad.run.keeper import complain
from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import LearnerState, refitted
from tracegrad.run.snapshot import Snapshots
from tracegrad.run.train import Look, Progress
from tracegrad.stream.bins import NO_LABEL
from tracegrad.stream.live import RECENT, Live, Prediction
from tracegrad.stream.start import Start

LABELS = 100  # the last of them that loss and accuracy are of
BLOCKS = 50  # the last of them that speed is of


class Watched:
    """Called after every prediction; between two blocks it heeds who watches.

    Costs a handful of numbers a step and three `stat` a block. `numbers` are those that were
    changed from what the settings say.
    """

    def __init__(
        self, live: Live, start: Start, folder: Path, warn: Callable[[str], None] = complain
    ):
        """Nothing but what may change is written before somebody watches."""
        self.live, self.start = live, start
        self.numbers = dict(start.before.numbers)
        self.control = Control(folder, warn, lambda: live.stopped)
        self.snapshots = Snapshots(folder, warn)
        self.changes = offered_changes(folder, start.config, start.task, warn)
        self.learner = start.learner
        self.labels: deque[tuple[float, bool]] = deque(maxlen=LABELS)
        self.blocks = deque([(time.perf_counter(), 0)], maxlen=BLOCKS)
        self.changes.again(self.now, self.numbers)

    def after(self, said: Prediction) -> None:
        """Count it; after the last of a block, look who watches."""
        if said.label is not None and said.loss is not None:
            self.labels.append((said.loss, int(said.scores.argmax()) == said.label))
        if said.step + 1 < self.live.counts.steps_learned:
            return
        self.blocks.append((time.perf_counter(), self.live.counts.steps_learned))
        now = self.now
        self.control.after(now)
        if self.snapshots.wanted:
            self.snapshots.after(Look(self.learner, self.live.state, self._recent()))
        numbers = self.changes.after(now, self._fitting)
        if numbers is not None:
            self.learner, state = self._fitting(numbers)
            self.live.go_on(self.learner, state)
            self.numbers = numbers

    def end(self) -> None:
        """Let the page know that there will be no more."""
        self.control.end(self.now)

    @property
    def now(self) -> Progress:
        """Where the stream stands: after so many steps in all of its lives."""
        losses, right = zip(*self.labels, strict=True) if self.labels else ((), ())
        (began, first), (now, last) = self.blocks[0], self.blocks[-1]
        return Progress(
            epoch=1,
            batch=self.start.before.steps + self.live.counts.steps_learned,
            batches=0,
            loss=float(np.mean(losses)) if losses else None,
            accuracy=float(np.mean(right)) if right else None,
            rate=self.live.rate,
            microseconds_per_step=1e6 * (now - began) / max(1, last - first),
        )

    def _fitting(self, numbers: Mapping[str, float]) -> tuple[Learner, LearnerState]:
        """A learner of these numbers and the state of now for it; `UsageError` if none can be."""
        learner = learner_at(self.start.config, self.start.task, numbers)
        return learner, refitted(self.live.state, partial(learner.init, batch=1))

    def _recent(self) -> Data:
        """The last steps as a sequence, filled up to a length that never changes."""
        steps = list(self.live.recent)
        xs = np.zeros((RECENT, 1, self.start.task.lines), jax.dtypes.canonicalize_dtype(float))
        ys = np.zeros((RECENT, 1), np.int32)
        weight = np.zeros(xs.shape[:2], xs.dtype)
        xs[: len(steps), 0] = [step.x for step in steps]
        ys[: len(steps), 0] = [max(step.label, 0) for step in steps]
        weight[: len(steps), 0] = [step.label != NO_LABEL for step in steps]
        valid = np.arange(RECENT)[:, None] < len(steps)
        return Data(*map(jnp.asarray, (xs, ys, weight, valid)))
