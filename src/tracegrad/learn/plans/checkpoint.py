r"""checkpoint: a long block in segments; the way back runs each forward once more, last to first.

Forward only the states at the start of each segment are kept. The reverse scan goes back over one
segment after the other, from the states recomputed there, and hands its cotangents $\lambda$ to the
segment before: the same sums as in one piece, in the same order in time.
"""

from math import isqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.plans.plan import (
    AbstractPlan,
    Data,
    Outcome,
    Stream,
    count_steps,
    judge,
    mean_rates,
)
from tracegrad.learn.plans.reverse import AbstractReverse, Verdict, moments
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, State
from tracegrad.model.parameter import setting

Counts = tuple[Float[Array, "batch _"], ...]


class _Progress(NamedTuple):
    """What the scan back over segments carries."""

    after: tuple[Any, ...]
    gradient: Circuit
    loss: Float[Array, ""]
    counts: Counts


class _Way(NamedTuple):
    """What is the same for all segments; `total` are the sums of outputs over the whole block."""

    circuit: Circuit
    feedback: Feedback
    data: Data
    total: Counts


class Checkpoint(AbstractPlan):
    """Exact for block influences, in the memory of one segment and the states between segments.

    `inner` says how a segment is run: `Chunk(rule, loss, carry=False)` or `Events`. For blocks that
    follow on no other. Memory O((T / segments + segments k) batch n) for T steps and k states,
    besides input and output; least at about the root of T, which `segments=None` takes. Time: that
    of `inner`, and its way forward a second time. Source: Griewank & Walther 2000, of one level.
    """

    inner: AbstractReverse = setting(None)
    segments: int | None = setting(None)

    def __check_init__(self) -> None:
        """Refuse no segments, and an inner plan for something else."""
        if self.segments is not None and self.segments < 1:
            raise ValueError(
                f"segments must be at least 1, or None for the root of the number of steps, got "
                f"{self.segments}."
            )
        if self.inner.rule is not self.rule or self.inner.loss is not self.loss:
            raise ValueError("The inner plan must be for the rule and loss of the checkpoints.")

    @property
    def carries(self) -> bool:
        """Every block begins without a past."""
        return False

    @property
    def partitions(self) -> bool:
        """As the inner plan."""
        return self.inner.partitions

    @property
    def reads_bytes(self) -> bool:
        """As the inner plan."""
        return self.inner.reads_bytes

    def shaped(self, circuit: Circuit) -> Circuit:
        """As the inner plan."""
        return self.inner.shaped(circuit)

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """Nothing is carried but the state."""
        return ()

    def length(self, time: int) -> int:
        """Steps of a segment of a block of `time` steps; the last one may have fewer."""
        return -(-time // min(self.segments or isqrt(time), time))

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        circuit = self.inner.influence.prepare(circuit)
        time, batch = data.xs.shape[:2]
        length = self.length(time)
        whole = (time - 1) // length  # segments before the last one
        none = tuple(jnp.zeros_like(s.z) for s in stream.state[:-1])
        way = _Way(circuit, feedback, data, none)
        starts, final, sums = self._there(way, stream.state, length, whole)
        rest = part(data, whole * length, time - whole * length)
        if self.loss.rate.strength:
            way = way._replace(total=_more(sums, self._run(way, final, rest)[1]))
        silent = (self.inner.silent(circuit, i, batch) for i in range(len(circuit.stages)))
        zero = jax.tree.map(jnp.zeros_like, circuit)
        start = _Progress(tuple(silent), zero, jnp.zeros((), data.weight.dtype), none)
        progress, (end, last) = self._back(way, start, final, rest)

        def body(progress: _Progress, at: tuple[State, Array]) -> tuple[_Progress, Array]:
            here = part(data, at[1] * length, length)
            progress, (_, outputs) = self._back(way, progress, at[0], here)
            return progress, outputs

        progress, first = jax.lax.scan(body, progress, (starts, jnp.arange(whole)), reverse=True)
        outputs = jnp.concatenate([first.reshape(-1, *last.shape[1:]), last])
        rates = mean_rates(progress.counts, count_steps(data))
        return Outcome(progress.gradient, Stream(end, (), ()), progress.loss, outputs, rates)

    def _there(
        self, way: _Way, state: State, length: int, whole: int
    ) -> tuple[State, State, Counts]:
        """States at the start of every segment, time first, and of the last; sums of outputs."""

        def body(carry: tuple[State, Counts], index: Array) -> tuple[tuple[State, Counts], State]:
            state, sums = carry
            after, more = self._run(way, state, part(way.data, index * length, length))
            return (after, _more(sums, more)), state

        (final, sums), starts = jax.lax.scan(body, (state, way.total), jnp.arange(whole))
        return starts, final, sums

    def _run(self, way: _Way, state: State, data: Data) -> tuple[State, Counts]:
        end, seen = self.inner.forward(way.circuit, way.feedback, state, data)
        return end, tuple(here.total for here in seen[:-1])

    def _back(
        self, way: _Way, progress: _Progress, state: State, data: Data
    ) -> tuple[_Progress, tuple[State, Array]]:
        """Forward through a segment once more, and back; its last state and its outputs."""
        circuit, inner = way.circuit, self.inner
        end, seen = inner.forward(circuit, way.feedback, state, data)
        outputs = seen[-1].output
        losses, errors = judge(self.loss, outputs, data)
        judged = Verdict(errors, data.ys, data.weight)
        asked = inner.asked(circuit, way.feedback, moments(circuit, seen), judged)
        steps = count_steps(way.data)
        penalised = (inner.penalise(a, c, steps) for a, c in zip(asked, way.total, strict=True))
        found = [
            inner.resume(circuit, index, after, rows, here)
            for index, (after, rows, here) in enumerate(
                zip(progress.after, (*penalised, {OUTPUT: errors}), seen, strict=True)
            )
        ]
        gradients, before = zip(*found, strict=True)
        here = Circuit(gradients, circuit.all_layers)
        gradient = jax.tree.map(jnp.add, progress.gradient, here)
        counts = _more(progress.counts, tuple(s.total for s in seen[:-1]))
        return _Progress(before, gradient, progress.loss + jnp.sum(losses), counts), (end, outputs)


def _more(sums: Counts, here: Counts) -> Counts:
    return jax.tree.map(jnp.add, sums, here)


def part(data: Data, first: int | Array, length: int) -> Data:
    """Some steps of a block; the rest of it is not copied."""
    return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, first, length), data)
