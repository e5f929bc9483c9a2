r"""chunk: run a block forward, then one reverse scan per neuron; a trace is touched once per block.

For groups of neurons of one stage (`Masked`) the scan goes back through the recurrent weights
inside a group too, $\lambda_z^{t}\mathrel{+}=(M\odot V)^\top\mathrm{drive}^\top\lambda^{t+1}$.

With $\lambda$ the cotangent of a neuron's own states, taps and output, per neuron and backwards:
$\lambda^t=\ell^t+\mathrm{own}^{t+1\top}\lambda^{t+1}$; the block's gradient is one product of
$\mathrm{drive}^\top\lambda$ with the presynaptic activity, plus $\lambda^0$ times the trace carried
in. The trace carried out is the same scan started from each state and tap at the end.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import Block, Sources, Trace, held_once, pull_trace
from tracegrad.learn.influences.masked import Masked
from tracegrad.learn.local import Rows, emission
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.reverse import AbstractReverse, Seen
from tracegrad.learn.signal import Feedback
from tracegrad.model.linear_map import AbstractMap, FanIn, Weights
from tracegrad.model.network import Circuit, State, hold
from tracegrad.model.over_time import over_time
from tracegrad.model.parameter import setting
from tracegrad.model.stage import Ports, Stage, StageState

CACHE = 1 << 23  # bytes: traces of a stage that a core has at hand between two uses


class Adjoint(NamedTuple):
    """Cotangents of one stage's neurons, each (starts, batch, n).

    Start 0 belongs to the loss; the others (if traces are carried on) to the states and taps at
    the end of the block, one each.
    """

    s: Rows
    z: Float[Array, "starts batch n"]
    taps: Rows
    coefficients: Rows


class Back(NamedTuple):
    """Cotangents before a block, and of every current in it, (time, starts, batch, n)."""

    before: Adjoint
    currents: Ports


class Fed(NamedTuple):
    """What a stage's synapses saw at every step: from below, and its own last output."""

    incoming: Shaped[Array, "time batch m"]
    before: Float[Array, "time batch n"]


class Chunk(AbstractReverse):
    """Exact for block influences, over block boundaries too if a block is one neuron.

    Memory O(K batch k n) for a block of K steps besides the traces O(batch (k+taps) p), which are
    read and written once a block; with `carry=False` (independent sequences) there are no traces.
    `common` are states of each stage whose traces all neurons have in common (`alike`): they are
    held once. `alone` says that one device has the whole batch: its sum is then part of the
    products, and on a CPU traces of a stage that are larger than `CACHE` are gone through a sample
    at a time, so that each is read from memory once. Over devices samples are summed at last, so
    that a gradient travels once.
    """

    carry: bool = setting(True)
    common: tuple[frozenset[str], ...] = setting(())
    alone: bool = setting(False)

    @property
    def influence(self) -> Block | Masked:
        """The rule's, with the traces that all neurons have in common held once."""
        influence = self.rule.influence
        assert isinstance(influence, Block | Masked)
        return held_once(influence, self.common)

    @property
    def carries(self) -> bool:
        """See `AbstractPlan`."""
        return self.carry

    def shaped(self, circuit: Circuit) -> Circuit:
        """As it is; with carried traces a weight for each synapse."""
        return circuit.as_fan_in() if self.carry else circuit

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """See `AbstractPlan`."""
        if not self.carry:
            return ()
        assert isinstance(self.influence, Block)  # the traces of groups are carried by `Step`
        return self.influence.init(circuit, self.rule.filter.taps(circuit), batch, key)

    def forward(
        self, circuit: Circuit, feedback: Feedback, state: State, data: Data
    ) -> tuple[State, list[Seen]]:
        """See `AbstractReverse`."""
        ends, seen, outputs, incoming = [], [], [], data.xs
        for index, (stage, start) in enumerate(zip(circuit.stages, state, strict=True)):
            if index == len(circuit.hidden):
                incoming = circuit.read(outputs)
            end, current, after = _through(stage, start, incoming, data.valid)
            ends.append(end)
            seen.append(Seen(incoming, current, start, after, data.valid))
            outputs.append(after.z)
            incoming = after.z
        return tuple(ends), seen

    def backward(
        self, circuit: Circuit, index: int, trace: Trace | None, asked: Rows, seen: Seen
    ) -> tuple[Stage, Trace | None]:
        """See `AbstractReverse`."""
        stage, taps = circuit.stages[index], self.taps(circuit, index)
        names = [*seen.start.s, *taps] if trace is not None else []
        start = _start(stage, taps, names, seen.start.z)
        weight = self.influence.inner_weight(circuit, index)
        back = _backward(stage, taps, weight, start, asked, seen)
        fed = Fed(seen.incoming, seen.before.z)
        if trace is None:
            return _collect(stage, back, fed, 0, False).as_gradient(stage), None
        once = self.common[index] if self.common else frozenset[str]()
        if not self.alone:
            ends = _ends(stage, names, once, trace, back, fed)
            each = _per_sample(stage, trace, back, fed, 0)
            gradient = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), each)
        else:
            meet = partial(_meet, stage, names, once)
            if jax.default_backend() == "cpu" and _size(trace) > CACHE:
                meet = partial(_by_sample, meet)
            older, ends = meet(trace, back, fed)
            gradient = jax.tree.map(jnp.add, _collect(stage, back, fed, 0, False), older)
        new = _carried(stage, taps, trace, dict(zip(names, ends, strict=True)), seen)
        return gradient.as_gradient(stage), new

    def silent(self, circuit: Circuit, index: int, batch: int) -> Adjoint:
        """See `AbstractReverse`."""
        stage = circuit.stages[index]
        return _start(stage, self.taps(circuit, index), [], stage.rest(batch).z)

    def resume(
        self, circuit: Circuit, index: int, after: Adjoint, asked: Rows, seen: Seen
    ) -> tuple[Stage, Adjoint]:
        """See `AbstractReverse`."""
        stage, taps = circuit.stages[index], self.taps(circuit, index)
        weight = self.influence.inner_weight(circuit, index)
        back = _backward(stage, taps, weight, after, asked, seen)
        nothing = jax.tree.map(jnp.zeros_like, back.before.coefficients)
        before = back.before._replace(coefficients=nothing)
        fed = Fed(seen.incoming, seen.before.z)
        return _collect(stage, back, fed, 0, False).as_gradient(stage), before


Meet = Callable[[Trace, Back, Fed], tuple[Sources, list[Sources]]]


def _through(
    stage: Stage, start: StageState, incoming: Array, valid: Array | None
) -> tuple[StageState, Ports, StageState]:
    """A stage through the block: its end, and currents and states of every step.

    What comes from below is one product for all steps.
    """

    def body(state: StageState, now: tuple) -> tuple[StageState, tuple[Ports, StageState]]:
        below, valid = now
        current = stage.current(below, state.z, turned)
        after = hold(valid, stage.cell(stage.coefficients, state, current), state)
        return after, (current, after)

    # Laid out anew in memory: a product with a transpose takes a third longer, at every step. Not
    # where JAX differentiates: the barrier's gradient under vmap is wrong (JAX 0.10.2).
    turned = jax.lax.optimization_barrier(stage.turned())
    end, (current, after) = over_time(body, start, (stage.feedforward(incoming), valid))
    return end, current, after


def _start(stage: Stage, taps: Taps, names: list[str], like: Array) -> Adjoint:
    """Cotangents at the end of the block: none for the loss, one for each carried quantity.

    `like` is an output (batch, n).
    """
    zero = jnp.zeros((1 + len(names), *like.shape), like.dtype)

    def unit(name: str) -> Array:
        return zero.at[1 + names.index(name)].set(1.0) if name in names else zero

    return Adjoint(
        {row: unit(row) for row in stage.rest(1).s},
        zero,
        {tap: unit(tap) for tap in taps},
        {name: zero for name in stage.coefficients},
    )


def _backward(
    stage: Stage,
    taps: Taps,
    inner: Ports,
    start: Adjoint,
    asked: Rows,
    seen: Seen,
) -> Back:
    """The reverse scan."""
    batch = seen.start.z.shape[0]
    c = {k: jnp.broadcast_to(v, (batch, stage.size)) for k, v in stage.coefficients.items()}

    def body(after: Adjoint, now: tuple) -> tuple[Adjoint, Ports]:
        asked, before, current, s, valid = now
        tapped = {OUTPUT: after.z} | dict(after.taps)
        tapped |= {name: tapped[name].at[0].add(asked[name]) for name in tapped if name in asked}
        for name, tap in reversed(taps.items()):
            tapped[tap.source] = tapped[tap.source] + tap.gain * tapped[name]
        z = tapped[OUTPUT]
        _, emitted = jax.vjp(stage.emit, c, s)
        d_c, d_s = jax.vmap(emitted)(z)
        _, advanced = jax.vjp(stage.advance, c, before, current)
        more, d_before, d_current = jax.vmap(advanced)(jax.tree.map(jnp.add, after.s, d_s))
        d_c = jax.tree.map(jnp.add, d_c, more)
        echoes = [_echo(weight, d_current[port]) for port, weight in inner.items()]
        now_adjoint = Adjoint(
            d_before.s,
            sum(echoes, start=d_before.z),
            {name: taps[name].decay * tapped[name] for name in taps},
            jax.tree.map(jnp.add, after.coefficients, d_c),
        )
        if valid is not None:
            exists = valid[None, :, None]
            now_adjoint = jax.tree.map(
                lambda new, old: jnp.where(exists, new, old), now_adjoint, after
            )
            d_current = {k: jnp.where(exists, d, 0.0) for k, d in d_current.items()}
        return now_adjoint, d_current

    past = (asked, seen.before, seen.current, seen.after.s, seen.valid)
    return Back(*over_time(body, start, past, reverse=True))


def _echo(weight: Array, d_current: Float[Array, "starts batch n"]) -> Array:
    """Back through a neuron's own weight, (n,), or through those inside groups, (n, n)."""
    return weight[None, None] * d_current if weight.ndim == 1 else d_current @ weight


def _collect(stage: Stage, back: Back, fed: Fed, start: int, per_sample: bool) -> Sources:
    """What the block itself contributes to a start: products with presynaptic activity.

    What is not wanted per sample is summed over the batch at once, one large product.
    """
    current = {port: c[:, start] for port, c in back.currents.items()}
    kept = jnp.asarray if per_sample else partial(jnp.sum, axis=0)
    carried = back.before.z.shape[0] > 1

    def one(weight: Weights, current: Array, activity: Array) -> Array:
        if isinstance(weight, FanIn) and carried:
            return kept(weight.traced(current, activity))
        if isinstance(weight, AbstractMap):
            return weight.gradient(current, activity)
        if per_sample:
            return jnp.einsum("tbn,tbm->bnm", current, activity)
        flat = (a.reshape(-1, a.shape[-1]) for a in (current, activity))
        return jnp.matmul(next(flat).T, next(flat))

    def product(part: dict[str, Any], activity: Array) -> Ports:
        return {port: one(weight, current[port], activity) for port, weight in part.items()}

    bias = stage.bias
    return Sources(
        product(stage.weight, fed.incoming),
        None if stage.recurrent is None else product(stage.recurrent, fed.before),
        None if bias is None else {p: kept(jnp.sum(current[p], axis=0))[..., None] for p in bias},
        {name: kept(c[start])[..., None] for name, c in back.before.coefficients.items()},
    )


def _per_sample(stage: Stage, trace: Trace, back: Back, fed: Fed, start: int) -> Sources:
    """What the block and the traces carried in contribute to a start."""
    fresh = _collect(stage, back, fed, start, True)
    return jax.tree.map(jnp.add, fresh, _older(trace, back.before, start))


def _meet(
    stage: Stage, names: list[str], once: frozenset[str], trace: Trace, back: Back, fed: Fed
) -> tuple[Sources, list[Sources]]:
    """What the traces carried in add to the gradient, summed over the batch, and `_ends`."""
    asked = {row: c[0] for row, c in (back.before.s | back.before.taps).items()}
    older = pull_trace(trace, asked | {OUTPUT: back.before.z[0]})
    return older, _ends(stage, names, once, trace, back, fed)


def _ends(
    stage: Stage, names: list[str], once: frozenset[str], trace: Trace, back: Back, fed: Fed
) -> list[Sources]:
    """Of each carried quantity the trace at the end of the block, per sample; the states `once` are
    the first neuron's for all."""

    def first(tree: Any) -> Any:
        return jax.tree.map(lambda a: a[:, :1], tree)

    few = Trace({row: first(trace.rows[row]) for row in once}, {}, *map(first, trace[2:]))
    one = jax.tree.map(lambda a: a[..., :1], back)
    ends = []
    for start, name in enumerate(names, 1):
        ends.append(_per_sample(stage, trace, back, fed, start))
        if name in once:
            single = _per_sample(stage, few, one, fed, start)
            ends[-1] = single._replace(coefficients=ends[-1].coefficients)
    return ends


def _size(trace: Trace) -> int:
    """Bytes."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(trace))


def _by_sample(meet: Meet, trace: Trace, back: Back, fed: Fed) -> tuple[Sources, list[Sources]]:
    """`_meet`, one sample after the other."""
    given = trace, back, fed
    axes = (
        jax.tree.map(lambda _: 0, trace),
        Back(*(jax.tree.map(lambda _, axis=axis: axis, part) for axis, part in enumerate(back, 1))),
        jax.tree.map(lambda _: 1, fed),
    )

    def one(sample: Any) -> tuple[Sources, list[Sources]]:
        return meet(*jax.tree.map(jnp.expand_dims, sample, axes))

    def body(total: Sources, sample: Any) -> tuple[Sources, list[Sources]]:
        older, ends = one(sample)
        return jax.tree.map(jnp.add, total, older), ends

    samples = jax.tree.map(lambda a, axis: jnp.moveaxis(a, axis, 0), given, axes)
    shapes, _ = jax.eval_shape(one, jax.tree.map(lambda a: a[0], samples))
    zero = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    older, ends = jax.lax.scan(body, zero, samples)
    return older, jax.tree.map(lambda a: a[:, 0], ends)


def _older(trace: Trace, adjoint: Adjoint, index: int) -> Sources:
    """What the traces carried in contribute to one start, per sample.

    The last output before the block is a function of the states, so its cotangent joins theirs.
    """
    z = adjoint.z[index]
    read = {row: adjoint.s[row][index] + trace.emit[row] * z for row in trace.rows}
    parts = [
        jax.tree.map(lambda e, w=read[row]: w[..., None] * e, sources)
        for row, sources in trace.rows.items()
    ]
    parts += [
        jax.tree.map(lambda e, w=adjoint.taps[name][index]: w[..., None] * e, sources)
        for name, sources in trace.taps.items()
    ]
    total: Sources = jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *parts)
    direct = {c: e + (trace.direct[c] * z)[..., None] for c, e in total.coefficients.items()}
    return total._replace(coefficients=direct)


def _carried(stage: Stage, taps: Taps, old: Trace, new: dict[str, Sources], seen: Seen) -> Trace:
    """The traces at the end of the block."""
    direct, emit = emission(stage, {row: s[-1] for row, s in seen.after.s.items()})
    if seen.valid is not None:
        touched = jnp.any(seen.valid, axis=0)
        direct, emit = hold(touched, (direct, emit), (old.direct, old.emit))
    rows = {row: new[row] for row in old.rows}
    return Trace(rows, {name: new[name] for name in taps}, emit, direct)
