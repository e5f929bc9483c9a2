"""Train: epochs over a task's training set, with an evaluation after each."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np

from tracegrad.data import Batch, Task
from tracegrad.errors import DataError, UsageError
from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.rule import Rule
from tracegrad.model import Network
from tracegrad.run.checkpoint import Checkpoint
from tracegrad.run.config import Config
from tracegrad.run.environment import numerics
from tracegrad.run.evaluate import Evaluator, Score, on_device, pad_steps
from tracegrad.run.finite import NotFiniteError, Suspects, all_finite, blame
from tracegrad.run.keeper import Keeper
from tracegrad.run.learner import Info, Learner, LearnerState
from tracegrad.run.learner_state import apart, refitted
from tracegrad.run.peak_memory import peak_memory
from tracegrad.run.position import Position, data_digest
from tracegrad.run.spread import rate_spread, weight_spread
from tracegrad.run.tally import Tally

Fits = Callable[[Mapping[str, float]], object]  # `UsageError` where training cannot go on so
ROOM = 1 << 26  # bytes of a checkpoint besides its arrays: names, and the metrics of many epochs


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; accuracies are None where targets are values, not classes.

    Training numbers are means over the epoch, so under changing weights; `rate` is the mean output
    of a hidden neuron at a step of the test set; `microseconds_per_step` is the median over batches
    of the time for one step of a whole batch; `level` is that of the task's curriculum. `skipped`
    batches had a number that is not finite and changed nothing. `weights` at the end of the epoch
    and `rates` of hidden neurons over its training are `QUANTILES` by name.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    test_loss: float
    test_accuracy: float | None
    rate: float
    microseconds_per_step: float
    seconds: float
    level: int | None = None
    skipped: int = 0
    weights: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)


class Progress(NamedTuple):
    """Where training stands after a batch; loss, accuracy and rate are of the epoch so far.

    Of a stream `batch` counts steps, `batches` is 0, and the first two are of its last labels.
    """

    epoch: int
    batch: int
    batches: int
    loss: float | None
    accuracy: float | None
    rate: float
    microseconds_per_step: float


@dataclass(frozen=True)
class Result:
    """What was learned, with which rule, loss and plan, what each epoch came to, and what it costs.

    `floors` are those of the task, `confusion` is of the last evaluation (None without classes).

    `memory_bytes` is the peak of the compiled training step as XLA plans it: arguments, outputs and
    temporaries, less what shares memory.
    """

    learned: LearnerState
    rule: Rule
    loss: Loss
    epochs: tuple[Epoch, ...]
    microseconds_per_step: float
    memory_bytes: int
    seconds: float
    floors: Mapping[str, float]
    plan: str
    confusion: np.ndarray | None

    @property
    def network(self) -> Network:
        """The trained network."""
        return self.learned.network

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        return self.epochs[-1]


class Look(NamedTuple):
    """What there is to see after a batch: the learner, its state and the batch."""

    learner: Learner
    state: LearnerState
    batch: Data


class Watch(NamedTuple):
    """Called after every batch, after every epoch, and at the start with the epochs done before.

    `look` may read a state that is donated right after. `change` may answer with numbers to go on
    with, all that differ from the settings; `at` makes the learner of such, which must differ in
    nothing else.
    """

    batch: Callable[[Progress], None] = lambda progress: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    start: Callable[[tuple[Epoch, ...]], None] = lambda epochs: None
    look: Callable[[Look], None] = lambda look: None
    change: Callable[[Progress, Fits], dict[str, float] | None] = lambda progress, fits: None
    at: Callable[[Mapping[str, float]], Learner] | None = None


SILENT = Watch()


def train(
    learner: Learner,
    config: Config,
    task: Task,
    watch: Watch = SILENT,
    keeper: Keeper | None = None,
) -> Result:
    """Train from rest for every sequence, and evaluate after each epoch.

    Everything is compiled once, before the first batch. A number that is not finite is a
    `NotFiniteError` at once, or its batch changes nothing, as `on_nan` says. With a `keeper`,
    training goes on from its newest good checkpoint, to the same bits as without a break: on the
    same machine, versions and flags. A source of data is then read again up to where it stood.
    Of several processes all must call it, with equal arguments; only the first keeps checkpoints.

        result = train(build_learner(config, task), config, task)
    """
    training = _Training(config, task, learner, watch, keeper)
    watch.start(tuple(training.epochs))
    while len(training.epochs) < config.learning.epochs:
        watch.epoch(training.epoch())
    return Result(
        learned=training.spread.gathered(training.state),
        rule=training.learner.rule,
        loss=training.learner.loss,
        epochs=tuple(training.epochs),
        microseconds_per_step=float(np.median([e.microseconds_per_step for e in training.epochs])),
        memory_bytes=training.memory_bytes,
        seconds=training.elapsed,
        floors=task.floors,
        plan=str(training.learner.plan),
        confusion=training.last_score.confusion,
    )


def _planned(learner: Learner) -> Learner:
    """The learner, if it has a plan; `UsageError` if none fits into its memory limit."""
    try:
        _ = learner.plan
    except ValueError as error:
        raise UsageError(str(error)) from error
    return learner


class _Training:
    """A learner at work on a task."""

    def __init__(
        self, config: Config, task: Task, learner: Learner, watch: Watch, keeper: Keeper | None
    ):
        self.size, self.every = config.learning.batch, config.learning.update_every
        self.skips = config.learning.on_nan == "skip"
        self.task, self.watch, self.keeper = task, watch, keeper
        self.first = task.train  # of a curriculum, the easiest
        self.numbers: dict[str, float] = {}  # those changed from what the settings say
        self.order = np.random.default_rng(config.seed)
        self.batches = -(-task.train.size // self.size)
        example = self.example()
        self.learner = _planned(learner.for_input(example.xs))
        self.state = self.learner.init(jax.random.key(config.seed), self.size, stream=False)
        self.evaluate = Evaluator(learner.loss, task.stepwise)
        self.steps = example.xs.shape[0]
        self.spread = self.learner.spread
        self.learn = self.compiled(example)
        self.memory_bytes = peak_memory(self.learn)
        self.finite = jax.jit(all_finite)
        self.score: Score | None = None
        self.epochs: list[Epoch] = []
        self.number = 0  # batches taken in all epochs
        self.seconds = 0.0  # of earlier processes
        self.began = time.perf_counter()
        self.begin()
        if keeper is not None:
            self.data = data_digest(task, self.size)
            self.go_on(keeper)

    def example(self) -> Data:
        """The batch that plans and programs are made for."""
        return self.prepared(next(self.first.batches(self.size, None)))

    def change(self, numbers: dict[str, float]) -> None:
        """Go on from the same state with other numbers: a program of its own."""
        self.learner, self.state = self.changed(numbers)
        self.learn = self.compiled(self.example())
        self.numbers = numbers

    def changed(self, numbers: Mapping[str, float]) -> tuple[Learner, LearnerState]:
        """A learner of these numbers and the state of now for it; `UsageError` if none can be."""
        if self.watch.at is None:
            raise UsageError(f"Its numbers were changed to {numbers}. Use: tracegrad resume.")
        learner = _planned(self.watch.at(numbers).for_input(self.example().xs))
        return learner, refitted(self.state, partial(learner.init, batch=self.size, stream=False))

    def compiled(self, example: Data) -> jax.stages.Compiled:
        """The program that learns from batches such as this."""
        return self.learner.sequence.lower(self.state, *self.spread.given(example)).compile()

    def begin(self) -> None:
        """Begin an epoch."""
        self.started = self.order.bit_generator.state
        self.tally = Tally()
        self.epoch_began = time.perf_counter()

    def go_on(self, keeper: Keeper) -> None:
        """From the newest good checkpoint, if there is one."""
        found = self._newest(keeper, sum(leaf.nbytes for leaf in jax.tree.leaves(self.state)))
        if found is None:
            return
        name = str(keeper.last)
        position = Position.from_text(found.manifest, name)
        position.check(keeper.identity, self.data, name)
        if other := position.other(numerics() | self.learner.spread.numerics):
            keeper.warn(f"{name} was made otherwise, so that last bits may differ: {other}.")
        self.state = keeper.take(found, self.state)
        if position.numbers:
            self.change(position.numbers)
        try:
            self.order.bit_generator.state = position.order
            self.epochs = [Epoch(**json.loads(line)) for line in position.epochs]
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise DataError(f"{name}: its manifest is wrong: {error}.") from error
        if self.task.curriculum is not None and position.level is not None:
            self.task = self.task.curriculum.make(position.level)
        self.begin()
        self.tally, self.seconds = position.tally, position.seconds
        self.number, self.epoch_began = position.number, self.epoch_began - position.elapsed

    def _newest(self, keeper: Keeper, size: int) -> Checkpoint | None:
        """The newest that is good; the first of several processes looks which that is."""
        found = keeper.newest(size + ROOM) if self.spread.first else None
        number = self.spread.agreed(-1 if found is None else keeper.number)
        return found if self.spread.first or number < 0 else keeper.at(number, size + ROOM)

    def save(self) -> None:
        """Keep a checkpoint, if there is a keeper; the first of several processes does."""
        if self.keeper is None:
            return
        arrays = self.keeper.arrays(self.number, self.state)
        if arrays is None or not self.spread.first:
            return
        position = Position(
            config=self.keeper.identity,
            data=self.data,
            made=numerics() | self.learner.spread.numerics,
            number=self.number,
            epochs=[json.dumps(asdict(epoch)) for epoch in self.epochs],
            order=dict(self.started),
            level=self.task.level,
            numbers=self.numbers,
            tally=self.tally.short(),
            elapsed=time.perf_counter() - self.epoch_began,
            seconds=self.elapsed,
        )
        self.keeper.save(self.number, Checkpoint(arrays, position.to_json()))

    @property
    def elapsed(self) -> float:
        """Seconds of training, those of earlier processes included."""
        return self.seconds + time.perf_counter() - self.began

    @property
    def last_score(self) -> Score:
        """Of the last evaluation, done anew where an earlier process had done it."""
        if self.score is None:
            self.score = self.evaluate(self.network, self.task.test.batches(self.size, None))
        return self.score

    @property
    def network(self) -> Network:
        """The network that computes, whole on a device of this process."""
        network, placed = self.spread.gathered((self.state.network, self.state.placed))
        return self.learner.deployed(self.state._replace(network=network, placed=placed))

    def prepared(self, batch: Batch) -> Data:
        """A batch with steps padded to whole windows, on the device."""
        return on_device(pad_steps(batch, self.every or 1))

    def epoch(self) -> Epoch:
        """Every training sequence that is left of an epoch, then the test set."""
        number, tally, task = len(self.epochs) + 1, self.tally, self.task
        batches = task.train.batches(self.size, self.order)
        for batch in islice(batches, tally.seen, None):
            ready = self.prepared(batch)
            self.batch(ready, f"epoch {number}, batch {tally.seen + 1}")
            self.show(self.progress(number), ready)
            if self.keeper is not None and self.spread.agreed(self.keeper.due()):
                self.save()
        if not tally.batches:
            raise NotFiniteError(
                f"Training stopped in epoch {number}: all of its {tally.skipped} batches were "
                "skipped, as a number was not finite in any. Leave on_nan out to see which."
            )
        network = self.network
        score = self.score = self.evaluate(network, task.test.batches(self.size, None))
        if task.curriculum is not None:
            self.task = task.curriculum.after(tally.mean_loss) or task
        done = Epoch(
            epoch=number,
            train_loss=tally.mean_loss,
            train_accuracy=tally.accuracy,
            test_loss=score.loss,
            test_accuracy=score.accuracy,
            rate=score.rate,
            microseconds_per_step=1e6 * tally.median_seconds / self.steps,
            seconds=time.perf_counter() - self.epoch_began,
            level=task.level,
            skipped=tally.skipped,
            weights=weight_spread(network),
            rates=rate_spread(tally.rates),
        )
        self.epochs.append(done)
        self.begin()
        self.save()
        return done

    def show(self, now: Progress, batch: Data) -> None:
        """Let the watch see it all, and heed what it wants."""
        self.watch.batch(now)
        self.watch.look(Look(self.learner, self.state, batch))
        numbers = self.watch.change(now, self.changed)
        if numbers is not None:
            self.change(numbers)

    def progress(self, number: int) -> Progress:
        """Where training stands in an epoch."""
        tally = self.tally
        return Progress(
            number,
            tally.seen,
            self.batches,
            tally.mean_loss,
            tally.accuracy,
            tally.mean_rate,
            1e6 * tally.median_seconds / self.steps,
        )

    def batch(self, batch: Data, place: str) -> None:
        """Learn from a batch and check that everything stayed finite.

        The state is donated, so what must outlive that is copied: all of it where a batch may be
        skipped, else the network alone.
        """
        state = self.state
        before = apart(state) if self.skips else state._replace(network=apart(state.network))
        given = self.spread.given(batch)
        start = time.perf_counter()
        state, info = jax.block_until_ready(self.learn(state, *given))
        seconds = time.perf_counter() - start
        self.number += 1
        finite = bool(self.finite((_learned(state, info), given)))
        info = self.spread.gathered(info)
        if finite:
            self.state = state
            self.tally.add(batch, info, self.evaluate.right(info.outputs, batch), seconds)
        elif self.skips:
            self.state = before
            self.tally.skipped += 1
        else:
            networks = self.spread.gathered((before.network, state.network))
            raise blame(Suspects(batch, *networks, info.outputs), place)


def _learned(state: LearnerState, info: Info) -> tuple:
    return state.network, state.feedback, state.optimiser, info.loss
