"""Train: epochs over a task's training set, with an evaluation after each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tracegrad.data import Batch, Task
from tracegrad.errors import UsageError
from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.rule import Rule
from tracegrad.model import Network
from tracegrad.run.config import Config
from tracegrad.run.evaluate import Evaluator, on_device, pad_steps
from tracegrad.run.finite import Suspects, all_finite, blame
from tracegrad.run.learner import Info, Learner, LearnerState
from tracegrad.run.spread import rate_spread, weight_spread


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; accuracies are None where targets are values, not classes.

    Training numbers are means over the epoch, so under changing weights; `rate` is the mean output
    of a hidden neuron at a step of the test set; `microseconds_per_step` is the median over batches
    of the time for one step of a whole batch; `level` is that of the task's curriculum. `weights`
    at the end of the epoch and `rates` of hidden neurons over its training are `QUANTILES` by name.
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
    weights: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)


class Progress(NamedTuple):
    """Where training stands after a batch; loss, accuracy and rate are of the epoch so far."""

    epoch: int
    batch: int
    batches: int
    loss: float
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


class Watch(NamedTuple):
    """Called after every batch, and after every epoch."""

    batch: Callable[[Progress], None] = lambda progress: None
    epoch: Callable[[Epoch], None] = lambda epoch: None


SILENT = Watch()


def train(learner: Learner, config: Config, task: Task, watch: Watch = SILENT) -> Result:
    """Train from rest for every sequence, and evaluate after each epoch.

    Everything is compiled once, before the first batch. `NotFiniteError` as soon as a number is
    not finite.

        result = train(build_learner(config, task), config, task)
    """
    began = time.perf_counter()
    training = _Training(config, task, learner)
    epochs = []
    for number in range(1, config.learning.epochs + 1):
        epochs.append(training.epoch(number, watch))
        watch.epoch(epochs[-1])
    return Result(
        learned=training.state,
        rule=learner.rule,
        loss=learner.loss,
        epochs=tuple(epochs),
        microseconds_per_step=float(np.median([e.microseconds_per_step for e in epochs])),
        memory_bytes=training.memory_bytes,
        seconds=time.perf_counter() - began,
        floors=task.floors,
        plan=str(training.learner.plan),
        confusion=training.confusion,
    )


def peak_memory(compiled: jax.stages.Compiled) -> int:
    """Bytes that a compiled function needs at once, from XLA's plan."""
    plan: Any = compiled.memory_analysis()
    if plan is None:
        raise UsageError(
            "This device does not say how much memory a compiled function needs. Use a CPU or GPU."
        )
    return (
        plan.temp_size_in_bytes
        + plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        - plan.alias_size_in_bytes
    )


class _Tally:
    """Running sums of an epoch."""

    def __init__(self, steps: int, evaluate: Evaluator):
        self.evaluate = evaluate
        self.steps, self.batches, self.right, self.sequences = steps, 0, 0, 0
        self.loss, self.totals, self.seconds = 0.0, [], []
        self.classifies = True

    def add(self, batch: Data, info: Info, seconds: float) -> None:
        """Count a batch. The learner's loss is a mean over the batch, fillers included."""
        self.batches += 1
        self.sequences += int(np.asarray(batch.valid).any(axis=0).sum())
        self.loss += float(info.loss) * batch.xs.shape[1]
        right = self.evaluate.right(info.outputs, batch)
        self.classifies = right is not None
        self.right += right or 0
        rates = [np.asarray(layer) for layer in info.rates]
        self.totals = [a + b for a, b in zip(self.totals or [0.0] * len(rates), rates, strict=True)]
        self.seconds.append(seconds)

    @property
    def accuracy(self) -> float | None:
        return self.right / self.sequences if self.classifies else None

    @property
    def rates(self) -> list[np.ndarray]:
        """Mean output of every neuron of every hidden layer."""
        return [total / self.batches for total in self.totals]

    @property
    def microseconds_per_step(self) -> float:
        return 1e6 * float(np.median(self.seconds)) / self.steps


def _planned(learner: Learner) -> Learner:
    """The learner, if it has a plan; `UsageError` if none fits into its memory limit."""
    try:
        _ = learner.plan
    except ValueError as error:
        raise UsageError(str(error)) from error
    return learner


class _Training:
    """A learner at work on a task."""

    def __init__(self, config: Config, task: Task, learner: Learner):
        self.size, self.every = config.learning.batch, config.learning.update_every
        self.task = task
        self.order = np.random.default_rng(config.seed)
        self.batches = -(-task.train.size // self.size)
        example = self.prepared(next(task.train.batches(self.size, None)))
        learner = self.learner = _planned(learner.for_input(example.xs))
        self.state = learner.init(jax.random.key(config.seed), self.size, stream=False)
        self.evaluate = Evaluator(learner.loss, task.stepwise)
        self.steps = example.xs.shape[0]
        self.learn = learner.sequence.lower(self.state, *example).compile()
        self.memory_bytes = peak_memory(self.learn)
        self.finite = jax.jit(all_finite)
        self.confusion: np.ndarray | None = None

    def prepared(self, batch: Batch) -> Data:
        """A batch with steps padded to whole windows, on the device."""
        return on_device(pad_steps(batch, self.every or 1))

    def epoch(self, number: int, watch: Watch) -> Epoch:
        """Every training sequence once, then the test set."""
        began = time.perf_counter()
        tally, task = _Tally(self.steps, self.evaluate), self.task
        for index, batch in enumerate(task.train.batches(self.size, self.order), start=1):
            self.batch(self.prepared(batch), tally, f"epoch {number}, batch {index}")
            watch.batch(
                Progress(
                    number,
                    index,
                    self.batches,
                    tally.loss / tally.sequences,
                    tally.accuracy,
                    float(np.concatenate(tally.rates).mean()),
                    tally.microseconds_per_step,
                )
            )
        network = self.learner.deployed(self.state)
        score = self.evaluate(network, task.test.batches(self.size, None))
        self.confusion = score.confusion
        loss = tally.loss / tally.sequences
        if task.curriculum is not None:
            self.task = task.curriculum.after(loss) or task
        return Epoch(
            epoch=number,
            train_loss=loss,
            train_accuracy=tally.accuracy,
            test_loss=score.loss,
            test_accuracy=score.accuracy,
            rate=score.rate,
            microseconds_per_step=tally.microseconds_per_step,
            seconds=time.perf_counter() - began,
            level=task.level,
            weights=weight_spread(network),
            rates=rate_spread(tally.rates),
        )

    def batch(self, batch: Data, tally: _Tally, place: str) -> None:
        """Learn from a batch and check that everything stayed finite."""
        before = jax.tree.map(jnp.copy, self.state.network)  # the state is donated
        start = time.perf_counter()
        state, info = jax.block_until_ready(self.learn(self.state, *batch))
        seconds = time.perf_counter() - start
        self.state = state
        if not bool(self.finite(_learned(state, info))):
            raise blame(Suspects(batch, before, state.network, info.outputs), place)
        tally.add(batch, info, seconds)


def _learned(state: LearnerState, info: Info) -> tuple:
    return state.network, state.feedback, state.optimiser, info.loss
