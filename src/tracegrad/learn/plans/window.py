r"""window: no carried trace; every loss goes back over the last H steps instead.

What is left out of a gradient is what a trace still remembers after H steps,
$\lambda^t\,\big(\prod_{s=t-H+1}^{t}A^s\big)\,\epsilon^{t-H}$ with $A$ a neuron's memory of itself
(`own`, its reset and self-weight as far as they are kept, and the taps). `contraction` is the norm
of that product.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.influence import Block
from tracegrad.learn.local import Rows, emission, local
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.plan import (
    AbstractPlan,
    Data,
    Outcome,
    Stream,
    count_steps,
    judge,
    mean_rates,
)
from tracegrad.learn.plans.reverse import AbstractReverse, Seen, Verdict, moments
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, State
from tracegrad.model.parameter import setting
from tracegrad.model.stage import StageState


class _Progress(NamedTuple):
    """What the scan over parts of a block carries; `past` has time first."""

    state: State
    past: list[Seen]
    gradient: Circuit
    counts: tuple[Float[Array, "batch _"], ...]


class Window(AbstractPlan):
    """Parts of `every` steps, each gone back over together with the `steps` before it.

    `inner` says how: `Chunk(rule, loss, carry=False)` or `Events`. For blocks that follow on no
    other. Memory O((steps + every) batch k n), whatever the length of the block, and free of the
    number of weights; time (steps + every) / every of `inner`'s way back. The error shrinks with
    `steps` as `contraction` says; a window as long as the block is exact.
    """

    inner: AbstractReverse = setting(None)
    steps: int = setting(100)
    every: int = setting(100)

    def __check_init__(self) -> None:
        """Refuse windows and parts of no steps, and an inner plan for something else."""
        if self.steps < 1 or self.every < 1:
            raise ValueError(
                f"A window and its parts need at least 1 step, got steps={self.steps} and "
                f"every={self.every}."
            )
        if self.inner.rule is not self.rule or self.inner.loss is not self.loss:
            raise ValueError("The inner plan must be for the same rule and loss as the window.")

    @property
    def carries(self) -> bool:
        """Every block begins without a past."""
        return False

    def shaped(self, circuit: Circuit) -> Circuit:
        """As the inner plan."""
        return self.inner.shaped(circuit)

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """Nothing is carried but the state."""
        return ()

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        if self.loss.rate.strength:
            raise ValueError(
                "A rate regulariser counts a whole block, which a window does not hold. Leave it "
                "out, or choose Chunk or Events."
            )
        circuit = self.inner.influence.prepare(circuit)
        parts = _parts(data, self.every)
        first = jax.tree.map(lambda a: a[0], parts)
        shapes = jax.eval_shape(self.inner.forward, circuit, feedback, stream.state, first)[1]
        start = _Progress(
            stream.state,
            [_nothing(seen, s, self.steps) for seen, s in zip(shapes, stream.state, strict=True)],
            jax.tree.map(jnp.zeros_like, circuit),
            tuple(jnp.zeros_like(s.z) for s in stream.state[:-1]),
        )

        def body(progress: _Progress, part: Data) -> tuple[_Progress, tuple[Array, Array]]:
            return self._part(circuit, feedback, progress, part)

        end, (losses, outputs) = jax.lax.scan(body, start, parts)
        time = data.xs.shape[0]
        return Outcome(
            end.gradient,
            Stream(end.state, (), ()),
            jnp.sum(losses),
            outputs.reshape(-1, *outputs.shape[2:])[:time],
            mean_rates(end.counts, count_steps(data)),
        )

    def _part(
        self, circuit: Circuit, feedback: Feedback, progress: _Progress, part: Data
    ) -> tuple[_Progress, tuple[Array, Array]]:
        """Forward through one part, and back over it and the window before it."""
        state, seen = self.inner.forward(circuit, feedback, progress.state, part)
        outputs = seen[-1].output
        losses, errors = judge(self.loss, outputs, part)
        verdict = Verdict(errors, part.ys, part.weight)
        asked = self.inner.asked(circuit, feedback, moments(circuit, seen), verdict)
        gradient, past = [], []
        for index, rows in enumerate((*asked, {OUTPUT: errors})):
            both = _joined(progress.past[index], seen[index])
            silent = jax.tree.map(self._later, rows)
            gradient.append(self.inner.backward(circuit, index, None, silent, both)[0])
            past.append(_last(both, self.steps))
        total = Circuit(tuple(gradient), circuit.all_layers)
        summed = jax.tree.map(jnp.add, progress.gradient, total)
        counts = tuple(c + here.total for c, here in zip(progress.counts, seen[:-1], strict=True))
        return _Progress(state, past, summed, counts), (jnp.sum(losses), outputs)

    def _later(self, asked: Array) -> Array:
        """What is asked of a part, with nothing asked of the window before it."""
        return jnp.concatenate([jnp.zeros((self.steps, *asked.shape[1:]), asked.dtype), asked])


def _parts(data: Data, every: int) -> Data:
    """The block in parts, the last one filled up with steps that do not exist."""
    time = data.xs.shape[0]
    missing = -time % every
    valid = jnp.ones(data.xs.shape[:2], bool) if data.valid is None else data.valid

    def cut(a: Array) -> Array:
        longer = jnp.pad(a, ((0, missing), *((0, 0) for _ in a.shape[1:])))
        return longer.reshape(-1, every, *a.shape[1:])

    return Data(*map(cut, (data.xs, data.ys, data.weight, valid)))


def _nothing(seen: Seen, start: StageState, steps: int) -> Seen:
    """A past of steps that do not exist, of the kind that `seen` describes."""

    def held(state: Array) -> Array:
        return jnp.broadcast_to(state[None], (steps, *state.shape))

    def zeros(shape: Any) -> Array:
        return jnp.zeros((steps, *shape.shape[1:]), shape.dtype)

    return Seen(
        zeros(seen.incoming),
        jax.tree.map(zeros, seen.current),
        start,
        StageState({row: held(start.s[row]) for row in seen.after.s}, held(start.z)),
        zeros(seen.valid),
        jax.tree.map(zeros, seen.marks),
    )


def _joined(past: Seen, now: Seen) -> Seen:
    """The past and then now."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), _series(past), _series(now))
    return Seen(both[0], both[1], past.start, *both[2:])


def _last(seen: Seen, steps: int) -> Seen:
    """The last steps, from the state before them; states that nobody reads stay as they were."""
    cut = seen.output.shape[0] - steps
    later = jax.tree.map(lambda a: a[cut:], _series(seen))
    known = {row: s[cut - 1] for row, s in seen.after.s.items()}
    start = StageState({**seen.start.s, **known}, seen.output[cut - 1])
    return Seen(later[0], later[1], start, *later[2:])


def _series(seen: Seen) -> tuple:
    return seen.incoming, seen.current, seen.after, seen.valid, seen.marks


def contraction(
    plan: AbstractReverse, circuit: Circuit, stream: Stream, data: Data, steps: int
) -> Float[Array, ""]:
    r"""Largest norm of $\prod A$ over any `steps` steps of a block, over neurons, samples, layers.

    What a trace of the block still remembers after `steps` steps is at most this times what it
    was: choose `Window(steps=...)` so that it is small enough. O(T batch n (k + taps)^3).
    """
    if not isinstance(plan.influence, Block):
        raise ValueError(
            f"contraction is of one block per neuron, {plan.rule.name} has larger ones. Choose "
            "Checkpoint, which is exact."
        )
    circuit = plan.influence.prepare(circuit)
    whole = Chunk(plan.rule, plan.loss, carry=False)
    _, seen = whole.forward(circuit, (), stream.state, data)
    worst = [
        jnp.max(_products(_memory(whole, circuit, index, here), steps))
        for index, here in enumerate(seen[:-1])
    ]
    return jnp.max(jnp.stack(worst))


def _memory(
    plan: Chunk, circuit: Circuit, index: int, seen: Seen
) -> Float[Array, "time batch n q q"]:
    r"""$A^t$ over states and taps: $\epsilon^t=A^t\epsilon^{t-1}+\ldots$"""
    stage, taps = circuit.stages[index], plan.taps(circuit, index)
    here = jax.vmap(lambda before, current: local(stage, before, current))(
        seen.before, seen.current
    )
    first = emission(stage, seen.start.s)[1]
    emit = {row: jnp.concatenate([first[row][None], e[:-1]]) for row, e in here.emit.items()}
    assert isinstance(plan.influence, Block)  # `contraction` refuses others
    echo = plan.influence.echo(stage, here)
    none = jnp.zeros_like(seen.output)
    rows = {
        row: {col: here.own[row][col] + echo[row] * emit[col] for col in here.own[row]}
        for row in here.own
    }
    reached = {OUTPUT: _sum_rows(here.emit, rows)}
    for name, tap in taps.items():
        source = {col: tap.gain * value for col, value in reached[tap.source].items()}
        kept = source.get(name, none)
        reached[name] = source | {name: kept + tap.decay}
    every = [*rows.values(), *(reached[name] for name in taps)]
    names = [*rows, *taps]
    return jnp.stack(
        [
            jnp.stack([jnp.broadcast_to(r.get(c, none), none.shape) for c in names], -1)
            for r in every
        ],
        axis=-2,
    )


def _sum_rows(emit: Rows, rows: dict[str, Rows]) -> Rows:
    """How the output depends on the states before the step."""
    total: Rows = {}
    for row, columns in rows.items():
        for col, value in columns.items():
            total[col] = total.get(col, jnp.zeros_like(value)) + emit[row] * value
    return total


def _products(
    memory: Float[Array, "time batch n q q"], steps: int
) -> Float[Array, "windows batch n"]:
    """Norm of the product over every `steps` steps in a row."""
    time = memory.shape[0]
    if steps > time:
        return jnp.zeros((1, *memory.shape[1:3]), memory.dtype)
    product = memory[: time - steps + 1]
    for shift in range(1, steps):
        product = memory[shift : time - steps + 1 + shift] @ product
    return jnp.linalg.norm(product, ord=2, axis=(-2, -1))
