"""limit: how many bytes a plan needs, from shapes, and the fastest plan that fits into some.

Counted is what the gradient of a block needs at once besides its input, the weights and what the
optimiser keeps. A compiled program shares and fuses: the estimates are within a factor of 2 of what
XLA allots, which a test holds.
"""

from functools import singledispatch
from typing import NamedTuple

import jax
import numpy as np

from tracegrad.learn.filter import Taps
from tracegrad.learn.influence import Block
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.chunked_sgd import ChunkedSGD
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import AbstractPlan
from tracegrad.learn.plans.planner import Choice
from tracegrad.learn.plans.step import Step
from tracegrad.model.network import Circuit
from tracegrad.model.neuron import ports
from tracegrad.model.stage import Stage


class Shape(NamedTuple):
    """A block: its steps and the sequences that go through them at once."""

    steps: int
    batch: int

    @staticmethod
    def of(xs: np.ndarray) -> "Shape | None":
        """That of input (time, batch, m); None if it has other axes."""
        return Shape(*xs.shape[:2]) if xs.ndim == 3 else None

    def cut(self, every: int | None) -> "Shape":
        """Blocks of `every` steps (None: the whole)."""
        return self._replace(steps=min(self.steps, every or self.steps))


def fit(choice: Choice, circuit: Circuit, shape: Shape | None, limit: int, settled: bool) -> Choice:
    """The choice if it fits into `limit` bytes, or the fastest exact plan that does.

    In the order Chunk or Events, Checkpoint, Step, for independent sequences; a choice that is
    `settled` is taken or refused. A window is never taken, because it is not exact.
    """
    if shape is None:
        return choice._replace(why=f"{choice.why}; for_input tells what fits into the limit")
    tried = []
    for plan in (choice.plan, *([] if settled else _smaller(choice.plan))):
        needed = needed_bytes(plan, circuit, shape)
        if needed <= limit:
            why = choice.why if plan is choice.plan else f"{_name(choice.plan)} would need too much"
            return Choice(plan, f"{why}; {_amount(needed)} fit into {_amount(limit)}")
        tried.append((needed, plan))
    least, plan = min(tried, key=lambda pair: pair[0])
    raise ValueError(
        f"No plan of {choice.plan.rule.name} fits into memory_limit={limit} bytes: {_name(plan)} "
        f"needs least, about {least}. Allow as many, or take fewer sequences at once."
    )


@singledispatch
def needed_bytes(plan: AbstractPlan, circuit: Circuit, shape: Shape) -> int:
    """Bytes that the gradient of a block needs at once."""
    raise ValueError(
        f"memory_limit is kept by rules with one block per neuron; {plan.rule.name} is executed by "
        f"{_name(plan)}, whose memory is not estimated. Leave memory_limit out."
    )


@needed_bytes.register
def _(plan: Chunk, circuit: Circuit, shape: Shape) -> int:
    block = sum(map(_kept, circuit.stages)) * shape.steps * shape.batch
    circuit = plan.shaped(circuit)
    traces = _traces(plan, circuit, shape.batch) if plan.carry else 0
    return _bytes(circuit, block + 3 * traces + _weights(circuit))


@needed_bytes.register
def _(plan: Events, circuit: Circuit, shape: Shape) -> int:
    block = sum(stage.size * _states(stage) for stage in circuit.stages)
    return _bytes(circuit, (block + circuit.stages[0].size) * shape.steps * shape.batch)


@needed_bytes.register
def _(plan: Checkpoint, circuit: Circuit, shape: Shape) -> int:
    length = plan.length(shape.steps)
    segment = needed_bytes(plan.inner, circuit, Shape(length, shape.batch))
    states = sum(stage.size * (_states(stage) + 1) for stage in circuit.stages)
    kept = states * (shape.steps // length + 1) * shape.batch
    circuit = plan.shaped(circuit)
    copied = (circuit.stages[0].lines * length + 2 * circuit.stages[-1].size * shape.steps) * (
        shape.batch
    )
    return segment + _bytes(circuit, kept + copied + 2 * _weights(circuit))


@needed_bytes.register
def _(plan: Step, circuit: Circuit, shape: Shape) -> int:
    if not isinstance(plan.influence, Block):
        raise ValueError(
            f"memory_limit is kept by rules with one block per neuron, {plan.rule.name} has "
            "another influence. Leave memory_limit out."
        )
    circuit = plan.shaped(circuit)
    first = circuit.stages[0].size * shape.steps * shape.batch
    traces = _traces(plan, circuit, shape.batch)
    return _bytes(circuit, first + 2 * traces + 2 * _weights(circuit))


@needed_bytes.register
def _(plan: ChunkedSGD, circuit: Circuit, shape: Shape) -> int:
    return needed_bytes(plan.step, circuit, shape)  # the coefficients of a chunk are few beside it


def _smaller(plan: AbstractPlan) -> list[AbstractPlan]:
    """Plans of less memory for the same work, the fastest first."""
    if not isinstance(plan, Chunk | Events):
        return []
    parts: list[AbstractPlan] = [Checkpoint(plan.rule, plan.loss, plan)]
    return [*parts, Step(plan.rule, plan.loss)] if isinstance(plan.influence, Block) else parts


def _kept(stage: Stage) -> int:
    """Numbers of a stage and step that go forward and back at once: states, output, currents."""
    return stage.size * (_states(stage) + 2 + 2 * len(ports(stage.neuron)))


def _states(stage: Stage) -> int:
    return len(stage.rest(1).s)


def _weights(circuit: Circuit) -> int:
    return sum(map(_learned, circuit.stages))


def _learned(stage: Stage) -> int:
    """Numbers that a stage learns."""
    synapses = sum(leaf.size for leaf in jax.tree.leaves((stage.weight, stage.recurrent)))
    return synapses + stage.size * (len(stage.coefficients) + 1)


def _traces(plan: Chunk | Step, circuit: Circuit, batch: int) -> int:
    """Numbers of all traces: of states and taps, and of the filtered output."""
    taps: Taps = plan.rule.filter.taps(circuit)
    behind = [*(len(taps) for _ in circuit.hidden), 0]
    pairs = zip(circuit.stages, behind, strict=True)
    return batch * sum(_learned(s) * (_states(s) + more) for s, more in pairs)


def _bytes(circuit: Circuit, numbers: int) -> int:
    return numbers * circuit.stages[0].dtype.itemsize


def _name(plan: AbstractPlan) -> str:
    return type(plan).__name__


def _amount(count: int) -> str:
    """Bytes as one reads them."""
    return f"{count / 1e6:.3g} MB"
