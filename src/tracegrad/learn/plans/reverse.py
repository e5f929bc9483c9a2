"""reverse: what the plans that go forward through a block and back have in common."""

from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, Shaped

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import Block, Trace
from tracegrad.learn.influences.masked import Leaving, Masked
from tracegrad.learn.local import Rows
from tracegrad.learn.plans.plan import (
    AbstractPlan,
    Data,
    Outcome,
    Stream,
    count_steps,
    judge,
    mean_rates,
    summed,
)
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals, Symmetric
from tracegrad.model.network import Circuit, Moment, State
from tracegrad.model.neuron import ports
from tracegrad.model.stage import Ports, Stage, StageState


class Verdict(NamedTuple):
    """Errors of the readout at every step, with the targets and weights they come from."""

    error: Float[Array, "..."]
    target: Num[Array, "..."]
    weight: Float[Array, "..."]


class Seen(NamedTuple):
    """A block as one stage saw it; arrays have time as first axis.

    `current` and `after.s` hold what the plan kept: a name that nobody reads may be missing.
    `marks` say what is not zero, to a plan that asks; `counted` is the output summed over the steps
    that exist, where the plan has summed it on the way.
    """

    incoming: Shaped[Array, "time batch m"]
    current: Ports
    start: StageState
    after: StageState
    valid: Bool[Array, "time batch"] | None
    marks: Any = None
    counted: Float[Array, "batch n"] | None = None

    @property
    def before(self) -> StageState:
        """The states before each step, of those that are kept."""
        start = StageState({row: self.start.s[row] for row in self.after.s}, self.start.z)
        return jax.tree.map(
            lambda start, after: jnp.concatenate([start[None], after[:-1]]), start, self.after
        )

    @property
    def output(self) -> Float[Array, "time batch n"]:
        """The output of each step."""
        return self.after.z

    @property
    def total(self) -> Float[Array, "batch n"]:
        """Output summed over the steps that exist."""
        return summed(self.output, self.valid) if self.counted is None else self.counted


class AbstractReverse(AbstractPlan):
    """A block forward, then every stage back alone, for block influences.

    A block is one neuron, or a group of neurons of one stage.
    """

    @property
    def influence(self) -> Block | Masked:
        """The rule's influence."""
        assert isinstance(self.rule.influence, Block | Masked)
        return self.rule.influence

    @property
    def signal(self) -> AbstractSignal:
        """The rule's signal; what leaves groups of one stage is the symmetric one."""
        return Symmetric() if isinstance(self.rule.signal, Leaving) else self.rule.signal

    @abstractmethod
    def forward(
        self, circuit: Circuit, feedback: Feedback, state: State, data: Data
    ) -> tuple[State, list[Seen]]:
        """Simulate the block and keep of every step what the way back needs."""

    @abstractmethod
    def backward(
        self, circuit: Circuit, index: int, trace: Trace | None, asked: Rows, seen: Seen
    ) -> tuple[Stage, Trace | None]:
        """Gradient of one stage, and its traces at the end of the block."""

    @abstractmethod
    def silent(self, circuit: Circuit, index: int, batch: int) -> Any:
        """No cotangents at the end of a part of a block: what `resume` starts from."""

    @abstractmethod
    def resume(
        self, circuit: Circuit, index: int, after: Any, asked: Rows, seen: Seen
    ) -> tuple[Stage, Any]:
        """Gradient of one stage over a part of a block, and its cotangents before the part.

        `after` are those at the end of the part; nothing came before the block.
        """

    def taps(self, circuit: Circuit, index: int) -> Taps:
        """The filter's taps behind a stage; the readout has none."""
        return self.rule.filter.taps(circuit) if index < len(circuit.hidden) else {}

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        circuit = self.influence.prepare(circuit)
        state, seen = self.forward(circuit, feedback, stream.state, data)
        outputs = seen[-1].output
        losses, errors = judge(self.loss, outputs, data)
        steps, counts = count_steps(data), [here.total for here in seen[:-1]]
        judged = Verdict(errors, data.ys, data.weight)
        asked = self.asked(circuit, feedback, moments(circuit, seen), judged)
        asked = [*map(partial(self.penalise, steps=steps), asked, counts), {OUTPUT: errors}]
        gradients, traces = [], []
        for index in range(len(circuit.stages)):
            trace = stream.memory[index] if stream.memory else None
            gradient, trace = self.backward(circuit, index, trace, asked[index], seen[index])
            gradients.append(gradient)
            traces.append(trace)
        memory = tuple(traces) if stream.memory else ()
        gradient = Circuit(tuple(gradients), circuit.all_layers)
        stream, rates = Stream(state, memory, ()), mean_rates(counts, steps)
        return Outcome(gradient, stream, jnp.sum(losses), outputs, rates)

    def asked(
        self, circuit: Circuit, feedback: Feedback, moments: Moment, judged: Verdict
    ) -> list[Rows]:
        """What the signal asks of every hidden layer's output or tap, at every step."""

        def at(moment: Moment, judged: Verdict) -> Signals:
            gains = tuple(map(_gain, circuit.stages, moment.before, moment.current))
            heard = self.rule.hear(circuit, Heard(moment, gains, *judged, self.loss))
            return self.signal(circuit, feedback, heard, ())[0]

        signals: Any = jax.vmap(at)(moments, judged)
        return [{self.rule.filter.meets(circuit): signal} for signal in signals]

    def penalise(self, asked: Rows, count: Array, steps: Array) -> Rows:
        """Add what the rate regulariser asks of a layer's output: the same at every step."""
        if not self.loss.rate.strength:
            return asked
        length = jax.tree.leaves(asked)[0].shape[0]
        penalty = jnp.broadcast_to(self.loss.rate.error(count, steps), (length, *count.shape))
        return asked | {OUTPUT: asked[OUTPUT] + penalty if OUTPUT in asked else penalty}


def moments(circuit: Circuit, seen: list[Seen]) -> Moment:
    """The block as the signal sees it, time first; what nobody reads is zero."""

    def filled(known: Rows, names: Iterable[str], like: Array) -> Rows:
        return {name: known.get(name, jnp.zeros_like(like)) for name in names}

    currents, befores, afters = [], [], []
    for stage, here in zip(circuit.stages, seen, strict=True):
        z, before = here.output, here.before
        currents.append(filled(here.current, ports(stage.neuron), z))
        befores.append(StageState(filled(before.s, here.start.s, z), before.z))
        afters.append(StageState(filled(here.after.s, here.start.s, z), z))
    return Moment(tuple(s.incoming for s in seen), *map(tuple, (currents, befores, afters)))


def _gain(stage: Stage, before: StageState, current: Ports) -> Rows:
    """Derivative of the output with respect to each current, within a step."""

    def output(current: Ports) -> Array:
        return stage.cell(stage.coefficients, before, current).z

    z, back = jax.vjp(output, current)
    return back(jnp.ones_like(z))[0]
