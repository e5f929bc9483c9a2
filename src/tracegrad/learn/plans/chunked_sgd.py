r"""chunked_sgd: weights that change at every step under plain SGD, executed a chunk at a time.

Within a chunk every change of the first layer's matrices and every trace is a combination of the
presynaptic vectors of the chunk and of the traces carried in (`Span`). So the steps of a chunk are
those of `Step` for a network whose lines are these vectors, with a one in the place of the present
step: its weights are the coefficients of the change, its traces the coefficients of the traces. The
matrices themselves are read and written once a chunk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from tracegrad.learn.influence import Block, Sources, Trace
from tracegrad.learn.loss import Loss
from tracegrad.learn.optimiser import is_plain_sgd
from tracegrad.learn.plans.plan import AbstractPlan, Data, Outcome, Stream, count_steps, mean_rates
from tracegrad.learn.plans.span import Seen, Span, Turned, current
from tracegrad.learn.plans.step import Progress, Step
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback
from tracegrad.model.connection import Dense
from tracegrad.model.layer import Layer
from tracegrad.model.network import Circuit, Network
from tracegrad.model.parameter import setting
from tracegrad.model.stage import Ports, Stage

LEAST = 4  # steps: with shorter chunks nothing is gained


def chunkable(
    network: Network, rule: Rule, loss: Loss, optimiser: optax.GradientTransformation
) -> bool:
    """Whether changes of the first layer's matrices can wait for the end of a chunk.

    They must all learn, by plain SGD at one rate; a regulariser of rates and a loss with a kernel
    look at a block, which is one step here; a signal that remembers may look at the input.
    """
    layer = network.layers[0]
    learning = jax.eval_shape(network.init, jax.random.key(0)).learning()
    matrices = (learning.layers[0].input, learning.layers[0].recurrent)
    if (
        not isinstance(rule.influence, Block)
        or not isinstance(layer.input, Dense)
        or not isinstance(layer.recurrent, Dense | None)
        or not all(jax.tree.leaves(matrices))
        or not _ports_fit(layer)
        or rule.signal.remembers
        or loss.rate.strength
        or loss.kernel
    ):
        return False
    drawn = network.init(jax.random.key(0))
    feedback = rule.signal.init(drawn, jax.random.key(1)) if rule.signal.adapts else ()
    first = jax.tree.map(lambda _: False, learning)
    first = eqx.tree_at(lambda net: net.layers[0].input, first, matrices[0])
    if matrices[1] is not None:
        first = eqx.tree_at(lambda net: net.layers[0].recurrent, first, matrices[1])
    params = (eqx.filter(drawn, learning), feedback)
    return is_plain_sgd(
        optimiser, params, (eqx.filter(first, learning), jax.tree.map(lambda _: False, feedback))
    )


def _ports_fit(layer: Layer) -> bool:
    """Whether every recurrent current has a feed-forward one whose coefficients it can share."""
    known = layer.neuron.feedforward_ports
    return layer.recurrent is None or all(port in known for port in layer.neuron.recurrent_ports)


class Walked(NamedTuple):
    """Memory inside a chunk: traces (of the first layer, coefficients), the number of steps gone
    by, and the vectors that each recurrent port has seen, (n, batch v)."""

    memory: tuple[Trace, ...]
    passed: Int[Array, ""]
    past: Ports


class Ahead(NamedTuple):
    """What is known of a chunk before it is walked through.

    `spans` of weight, recurrent and bias by port; the input's products with its spans, and its
    currents through the weights of the start, time first; `turned` are the recurrent weights of the
    start and their spans, presynaptic index first, and `diagonal` that of the weights; `masked`
    says that it does not learn.
    """

    spans: Sources
    seen: dict[str, Seen]
    base: Ports
    turned: dict[str, tuple[Array, Turned]]
    diagonal: Ports
    masked: bool

    def walked(self, past: Ports) -> dict[str, Span]:
        """The spans of the recurrent ports, with the vectors seen so far."""
        known = self.spans.recurrent or {}
        return {
            port: span._replace(vectors=past[port].T.reshape(span.vectors.shape))
            for port, span in known.items()
        }


class ChunkedSGD(AbstractPlan):
    r"""`Step` with an update at every step under plain SGD, `steps` at once; exact.

    For block influences and $\Delta\theta^t=-\eta^tg^t$. Time a step O(n (n + d)) beside the
    products, with d = steps + carried traces, in place of O(n p): the first layer's matrices and
    traces are touched once a chunk. All else changes as ever. Of a batch B chunks are B times
    shorter.
    """

    common: tuple[frozenset[str], ...] = setting(())
    steps: int = setting(32)

    def __check_init__(self) -> None:
        """Refuse chunks too short to gain anything."""
        if self.steps < LEAST:
            raise ValueError(f"A chunk needs at least {LEAST} steps, got steps={self.steps}.")

    @property
    def step(self) -> Step:
        """The plan of what is no whole chunk, with the same stream."""
        return Step(self.rule, self.loss, self.common)

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """See `AbstractPlan`."""
        return self.step.init(circuit, batch, key)

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """A block's gradient at fixed weights is that of `Step`."""
        return self.step.outcome(circuit, feedback, stream, data)

    def length(self, batch: int) -> int:
        """Steps of a chunk for so many samples; 1 where chunks would be too short."""
        length = self.steps // batch
        return length if length >= LEAST else 1

    def enter(
        self, network: Network, stream: Stream, data: Data
    ) -> tuple["Inside", Network, Stream]:
        """A chunk from inside: the plan of a step, the network of coefficients, its stream."""
        first, trace = network.discretise().stages[0], stream.memory[0]
        once = self.common[0] if self.common else frozenset()
        spans = _spans(first, trace, once, data.xs)
        masked = not network.layers[0].autapses
        ahead = _ahead(first, spans, data.xs, masked)
        columns = next(iter(spans.weight.values())).columns
        inner = eqx.tree_at(
            lambda net: net.layers[0], network, _bare(network.layers[0], columns, first)
        )
        past = {port: turned.vectors for port, (_, turned) in ahead.turned.items()}
        memory = (_units(trace, once, data.xs.shape, columns), *stream.memory[1:])
        start = Walked(memory, jnp.zeros((), jnp.int32), past)
        return Inside(self.step, ahead), inner, stream._replace(memory=start)

    def leave(
        self, network: Network, inside: "Inside", ended: tuple[Network, Stream]
    ) -> tuple[Network, Stream]:
        """Network and stream after the chunk, from the network before it and the end inside."""
        inner, stream = ended
        walked: Walked = stream.memory
        ahead = inside.ahead
        spans = ahead.spans
        if spans.recurrent is not None:
            spans = spans._replace(recurrent=ahead.walked(walked.past))
        layer = _changed(network.layers[0], inner.layers[0], spans, inner.dt)
        outer = eqx.tree_at(lambda net: net.layers[0], inner, layer)
        memory = (_traces(walked.memory[0], spans), *walked.memory[1:])
        return outer, stream._replace(memory=memory)


class Inside(NamedTuple):
    """One step inside a chunk, for the network of coefficients."""

    step: Step
    ahead: Ahead

    def block(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """`Step` with the present step as the input line, and the currents it stands for."""
        walked: Walked = stream.memory
        circuit = self.step.influence.prepare(circuit)
        first = jnp.arange(data.xs.shape[1], dtype=jnp.int32) * _count(self.ahead.spans)
        line = first + walked.passed
        past = {p: v.at[:, line].set(stream.state[0].z.T) for p, v in walked.past.items()}
        walked = walked._replace(past=past)
        first, selves = self._current(circuit.stages[0], walked, stream.state[0].z)
        x = jax.nn.one_hot(line, circuit.stages[0].lines, dtype=data.xs.dtype)
        start = Progress(
            stream._replace(memory=walked.memory),
            jax.tree.map(jnp.zeros_like, circuit),
            jnp.zeros((), data.xs.dtype),
            tuple(jnp.zeros_like(stage.z) for stage in stream.state[:-1]),
        )
        valid = None if data.valid is None else data.valid[0]
        now = (x, first, data.ys[0], data.weight[0], valid)
        apart = (selves, *({} for _ in circuit.stages[1:]))
        end, outputs = self.step.one(circuit, feedback, start, now, apart)
        memory = walked._replace(memory=end.stream.memory, passed=walked.passed + 1)
        rates = mean_rates(end.counts, count_steps(data))
        stream = end.stream._replace(memory=memory)
        return Outcome(end.gradient, stream, end.loss, outputs[None], rates)

    def _current(
        self, stage: Stage, walked: Walked, z: Float[Array, "batch n"]
    ) -> tuple[Ports, Ports]:
        """The first layer's currents, and the self-weights if they are kept."""
        ahead, influence = self.ahead, self.step.influence
        keeps = isinstance(influence, Block) and influence.self_weight
        seen = jax.tree.map(lambda a: a[walked.passed], ahead.seen)
        currents = {port: base[walked.passed] for port, base in ahead.base.items()}
        selves = {}
        spans = ahead.walked(walked.past) if ahead.masked or keeps else {}
        for port, (weight, turned) in ahead.turned.items():
            seen[port] = seen[port].plus(turned._replace(vectors=walked.past[port]).see(z))
            currents[port] = currents[port] + z @ weight
            if port in spans:
                own = spans[port].diagonal(stage.weight[port])
                selves[port] = ahead.diagonal[port] + own
        if ahead.masked:  # what changes there is held at zero
            currents = {
                p: c - z * selves[p][None] if p in selves else c for p, c in currents.items()
            }
            selves = {}
        for port, coefficients in stage.weight.items():
            currents[port] = currents[port] + current(coefficients, seen[port])
        return currents, selves


def in_chunks(
    plan: ChunkedSGD,
    state: Any,
    windows: Data,
    walk: Callable[[Any, Data, Step | Inside], tuple[Any, Any]],
) -> tuple[Any, Any]:
    """A learner's state through windows of one step: whole chunks, and what is left over by steps.

    The state has a `network` and a `stream`; `walk` goes through windows with an update after each.
    """
    steps, _, batch, _ = windows.xs.shape
    length = plan.length(batch)
    whole = steps - steps % length if length > 1 else 0

    def chunk(state: Any, windows: Data) -> tuple[Any, Any]:
        flat = jax.tree.map(lambda a: a[:, 0], windows)
        inside, inner, start = plan.enter(state.network, state.stream, flat)
        ended, done = walk(state._replace(network=inner, stream=start), windows, inside)
        network, stream = plan.leave(state.network, inside, (ended.network, ended.stream))
        return ended._replace(network=network, stream=stream), done

    if not whole:
        return walk(state, windows, plan.step)
    chunks = jax.tree.map(lambda a: a[:whole].reshape(-1, length, *a.shape[1:]), windows)
    state, done = jax.lax.scan(chunk, state, chunks)
    done = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), done)
    if whole == steps:
        return state, done
    state, last = walk(state, jax.tree.map(lambda a: a[whole:], windows), plan.step)
    return state, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), done, last)


def _count(spans: Sources) -> int:
    """Vectors of one sample."""
    return next(iter(spans.weight.values())).vectors.shape[1]


def _spans(
    stage: Stage, trace: Trace, once: frozenset[str], xs: Float[Array, "time batch m"]
) -> Sources:
    """What the chunk's changes and traces will be combinations of; recurrent vectors come later."""
    vectors = [trace.rows[row] for row in sorted(once)]
    matrices = [*(trace.rows[row] for row in trace.rows if row not in once), *trace.taps.values()]
    steps, batch, _ = xs.shape

    def span(name: str, port: str, seen: Array) -> Span:
        held = [getattr(sources, name)[port] for sources in vectors]
        carried = tuple(getattr(sources, name)[port] for sources in matrices)
        return Span(jnp.concatenate([seen, *held], axis=1), carried)

    still = jnp.zeros((batch, steps, stage.size), xs.dtype)
    ones = jnp.ones((batch, steps, 1), xs.dtype)
    weight = {port: span("weight", port, jnp.swapaxes(xs, 0, 1)) for port in stage.weight}
    again = stage.recurrent and {port: span("recurrent", port, still) for port in stage.recurrent}
    bias = stage.bias and {port: span("bias", port, ones) for port in stage.bias}
    return Sources(weight, again, bias, {})


def _ahead(stage: Stage, spans: Sources, xs: Array, masked: bool) -> Ahead:
    """All of a chunk's currents that do not depend on its spikes."""
    seen = {port: span.turned.see(xs) for port, span in spans.weight.items()}
    ones = jnp.ones((*xs.shape[:2], 1), xs.dtype)
    for port, span in (spans.bias or {}).items():
        seen[port] = seen[port].plus(span.turned.see(ones))
    again = stage.recurrent or {}
    diagonal = {port: jnp.diagonal(weight) for port, weight in again.items()}
    turned = {p: (weight.T, (spans.recurrent or {})[p].turned) for p, weight in again.items()}
    # Laid out anew in memory: turned at every step, a product is a loop of single numbers.
    turned = jax.lax.optimization_barrier(turned)
    return Ahead(spans, seen, stage.feedforward(xs), turned, diagonal, masked)


def _bare(layer: Layer, columns: int, stage: Stage) -> Layer:
    """The same neurons behind coefficients, all zero: nothing has changed yet."""
    lead = () if layer.input.ports == 1 else (layer.input.ports,)
    zeros = jnp.zeros((*lead, stage.size, columns), stage.dtype)
    return eqx.tree_at(
        lambda layer: (layer.input, layer.recurrent),
        layer,
        (Dense.from_arrays(zeros), None),
        is_leaf=lambda node: node is None,
    )


def _units(trace: Trace, once: frozenset[str], shape: tuple[int, ...], columns: int) -> Trace:
    """Every trace carried in as coefficients: a one in the column that it itself is."""
    steps, batch, _ = shape
    count = steps + len(once)
    sample = jnp.arange(batch, dtype=jnp.int32)
    lines = {row: sample * count + steps + index for index, row in enumerate(sorted(once))}
    whole = [*(row for row in trace.rows if row not in once), *trace.taps]
    lines |= {name: batch * (count + index) + sample for index, name in enumerate(whole)}

    def unit(name: str, sources: Sources) -> Sources:
        def one(held: Array) -> Array:
            hot = jax.nn.one_hot(lines[name], columns, dtype=held.dtype)
            return jnp.broadcast_to(hot[:, None], (*held.shape[:2], columns))

        weight = {port: one(held) for port, held in sources.weight.items()}
        return Sources(weight, None, None, sources.coefficients)

    rows = {row: unit(row, sources) for row, sources in trace.rows.items()}
    taps = {tap: unit(tap, sources) for tap, sources in trace.taps.items()}
    return trace._replace(rows=rows, taps=taps)


def _traces(trace: Trace, spans: Sources) -> Trace:
    """The traces that coefficients stand for."""

    def whole(sources: Sources) -> Sources:
        def part(known: dict[str, Span] | None) -> dict[str, Array] | None:
            if known is None:
                return None
            return {port: span.trace(sources.weight[port]) for port, span in known.items()}

        weight, again, bias = map(part, (spans.weight, spans.recurrent, spans.bias))
        return Sources(weight or {}, again, bias, sources.coefficients)

    rows = {row: whole(sources) for row, sources in trace.rows.items()}
    return trace._replace(rows=rows, taps={k: whole(tap) for k, tap in trace.taps.items()})


def _changed(layer: Layer, inner: Layer, spans: Sources, dt: float) -> Layer:
    """The layer after the chunk: its matrices with their changes, its neurons as inside."""
    coefficients = inner.discretise(dt).weight

    def changed(old: Array | None, known: dict[str, Span], names: tuple[str, ...]) -> Array:
        changes = [known[port].change(coefficients[port]) for port in names]
        rise = changes[0] if len(changes) == 1 else jnp.stack(changes)
        assert old is not None  # a learner's network has its weights drawn
        return old + rise.reshape(old.shape)

    below, again, kind = layer.input, layer.recurrent, inner.neuron
    assert isinstance(below, Dense)  # `chunkable` serves no other
    weight = changed(below.weight, spans.weight, kind.feedforward_ports)
    below = eqx.tree_at(lambda dense: dense.weight, below, weight)
    if spans.bias is not None:
        bias = changed(below.bias, spans.bias, kind.feedforward_ports)
        below = eqx.tree_at(lambda dense: dense.bias, below, bias)
    if isinstance(again, Dense):
        weight = changed(again.weight, spans.recurrent or {}, kind.recurrent_ports)
        if not layer.autapses:
            held = jnp.eye(weight.shape[-1], dtype=bool)
            weight = jax.tree.map(lambda new, old: jnp.where(held, old, new), weight, again.weight)
        again = eqx.tree_at(lambda dense: dense.weight, again, weight)
    return eqx.tree_at(
        lambda layer: (layer.input, layer.recurrent),
        inner,
        (below, again),
        is_leaf=lambda node: node is None,
    )
