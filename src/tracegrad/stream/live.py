"""Live: a learner at work on a source that does not end."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tracegrad.data.events import MICROSECONDS, microseconds
from tracegrad.errors import UsageError
from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import LearnerState
from tracegrad.stream.bins import NO_LABEL, Bins, Step
from tracegrad.stream.block import StepBlock
from tracegrad.stream.counts import Ledger
from tracegrad.stream.form import Form
from tracegrad.stream.gate import Gate
from tracegrad.stream.latency import Latency
from tracegrad.stream.piece import Piece
from tracegrad.stream.step_queue import StepQueue
from tracegrad.stream.when_full import AbstractWhenFull, Block

LARGEST_QUEUE = 2**30  # bytes
RECENT = 100  # steps that are kept for who looks
PATIENCE = 2.0  # seconds that a reader has to end after the learner gave up


@dataclass(frozen=True)
class Settings:
    """How a stream is read and learned from.

    `queue` steps at most wait; `when_full` says what happens to more. `block` steps at most are
    learned from at once. In seconds: `label_window`, how far a label may be from the last event,
    and `longest_gap`, how long the network sees silence. With `polarity` the input has ON of every
    line, then OFF. With `stop_on_bad` the first bad record ends the stream, else it is skipped.
    """

    when_full: AbstractWhenFull = field(default_factory=Block)
    queue: int = 1024
    block: int = 64
    label_window: float = 0.1
    longest_gap: float = 1.0
    polarity: bool = False
    stop_on_bad: bool = True

    def form(self, learner: Learner) -> Form:
        """What records must fit for this learner; `UsageError` if the settings do not fit it."""
        network, width = learner.network, microseconds(learner.network.dt, "dt")
        columns = network.layers[0].input.inputs
        if self.polarity and columns % 2:
            raise UsageError(
                f"With polarity the input must have ON and OFF of every line, but has {columns} "
                "lines. Leave polarity out, or take another network."
            )
        if self.block < 1 or self.queue * columns * 4 > LARGEST_QUEUE:
            raise UsageError(
                f"block must be at least 1 and a queue at most 1 GiB, got {self.block} and "
                f"{self.queue} steps of {columns} lines. Lower queue."
            )
        steps = (_steps("label_window", self.label_window), _steps("longest_gap", self.longest_gap))
        return Form(
            columns,
            network.readout.input.outputs,
            width,
            self.polarity,
            *(int(wanted // width) for wanted in steps),
        )


class Prediction(NamedTuple):
    """One step: its number, start (microseconds) and width (steps of dt), the readout and more.

    `label` and `loss` are None where the step has no label. The readout is of the weights before
    the step was learned from.
    """

    step: int
    start: int
    width: int
    scores: Float[np.ndarray, "o"]
    label: int | None
    loss: float | None


class Live:
    """Learns from a source and predicts, step by step, in bounded memory.

    A thread of its own reads the source; whoever iterates learns. `state` and `counts` are up to
    date whenever a prediction has been handed out; keep no older state, it is donated. `recent` are
    the last steps, `rate` is the mean output of a hidden neuron in the last block.

    ```python
    live = tg.stream.Live(learner, learner.init(key, batch=1), tg.stream.records(events()))
    for said in live:
        print(said.step, said.scores.argmax())
    assert live.counts.balanced
    ```
    """

    def __init__(
        self,
        learner: Learner,
        state: LearnerState,
        source: Iterable[Piece],
        settings: Settings | None = None,
        tell: Callable[[str], None] = lambda sentence: None,
    ):
        """`tell` hears the first of each kind of trouble, in one sentence."""
        self.settings = settings = settings or Settings()
        form = settings.form(learner)
        ledger = Ledger(settings.stop_on_bad, tell)
        self.state, self.counts, self.latency = state, ledger.counts, Latency()
        self.recent: deque[Step] = deque(maxlen=RECENT)
        self.rate = 0.0
        self._block = StepBlock(learner, settings.block)
        if settings.queue < self._block.steps:
            raise UsageError(
                f"queue must be at least a block of {self._block.steps} steps, got "
                f"{settings.queue}. Raise queue or lower block."
            )
        self._queue = StepQueue(settings.queue, settings.when_full, ledger.counts)
        self._gate, self._bins = Gate(form, ledger), Bins(form, ledger)
        self._source = source
        self._error: Exception | None = None
        self._stopped = Event()

    def stop(self) -> None:
        """Read no further; what has been read is still learned from. May be called by a signal."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def go_on(self, learner: Learner, state: LearnerState) -> None:
        """Learn on with another learner, whose `update_every` is the same, and its state."""
        self._block, self.state = StepBlock(learner, self.settings.block), state

    def __iter__(self) -> Iterator[Prediction]:
        """Every step, until the source ends or `stop`; then the error of the source, if any."""
        reader = Thread(target=self._read, name="stream reader", daemon=True)
        reader.start()
        try:
            while steps := self._queue.take(self._block.steps, self._block.unit):
                yield from self._learn(steps)
            if self._error is not None:
                raise self._error
        finally:
            self.stop()
            self._queue.abandon()
            reader.join(PATIENCE)
            self._queue.drain()

    def _learn(self, steps: list[Step]) -> Iterator[Prediction]:
        try:
            self.state, learned = self._block(self.state, steps)
        except Exception:
            self._queue.restore(steps)
            raise
        self.recent.extend(steps)
        self.rate = learned.rate
        counts, now = self.counts, time.perf_counter()
        first = counts.steps_learned
        counts.steps_learned += len(steps)
        for step in steps:
            counts.events.learned += step.events
            counts.labels.learned += step.label != NO_LABEL
            counts.labels_late += step.late
            self.latency.add(now - step.came)
        for number, step in enumerate(steps):
            known = step.label != NO_LABEL
            yield Prediction(
                first + number,
                step.start,
                step.width,
                learned.outputs[number],
                step.label if known else None,
                float(learned.losses[number]) if known else None,
            )

    def _read(self) -> None:
        """All of the source, in the reader's thread."""
        try:
            for piece in self._source:
                if self._stopped.is_set():
                    break
                for good in self._gate(piece):
                    self._put(self._bins.feed(good))
        except Exception as error:  # raised again by who iterates, after what came before it
            self._error = error
        finally:
            self._put(self._bins.finish())
            self._queue.close()

    def _put(self, steps: Iterator[Step]) -> None:
        for step in steps:
            self._queue.put(step)


def _steps(name: str, seconds: float) -> float:
    """The microseconds of a setting in seconds."""
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{name} must be zero or more seconds, got {seconds}.")
    return seconds * MICROSECONDS
