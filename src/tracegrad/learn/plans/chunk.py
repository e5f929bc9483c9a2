r"""chunk: run a block forward, then one reverse scan per neuron; a trace is touched once per block.

With $\lambda$ the cotangent of a neuron's own states, taps and output, per neuron and backwards:
$\lambda^t=\ell^t+\mathrm{own}^{t+1\top}\lambda^{t+1}$; the block's gradient is one product of
$\mathrm{drive}^\top\lambda$ with the presynaptic activity, plus $\lambda^0$ times the trace carried
in. The trace carried out is the same scan started from each state and tap at the end.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import Block, Sources, Trace
from tracegrad.learn.local import Rows, emission
from tracegrad.learn.loss import loss_and_error
from tracegrad.learn.plans.plan import AbstractPlan, Data, Outcome, Stream, count_steps
from tracegrad.learn.signal import Feedback, Heard, Signals
from tracegrad.model.network import Circuit, Moment, State, hold
from tracegrad.model.parameter import setting
from tracegrad.model.stage import Ports, Stage, StageState


class Adjoint(NamedTuple):
    """Cotangents of one stage's neurons, each (starts, batch, n).

    Start 0 belongs to the loss; the others (if traces are carried on) to the states and taps at
    the end of the block, one each.
    """

    s: Rows
    z: Float[Array, "starts batch n"]
    taps: Rows
    coefficients: Rows


class Chunk(AbstractPlan):
    """Exact for block influences, over block boundaries too.

    Memory O(K batch k n) for a block of K steps besides the traces O(batch (k+taps) p), which are
    read and written once a block; with `carry=False` (independent sequences) there are no traces.
    """

    carry: bool = setting(True)

    @property
    def influence(self) -> Block:
        """The rule's influence."""
        assert isinstance(self.rule.influence, Block)
        return self.rule.influence

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """See `AbstractPlan`."""
        if not self.carry:
            return ()
        return self.influence.init(circuit, self.rule.filter.taps(circuit), batch, key)

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        circuit = self.influence.prepare(circuit)
        state, seen = _forward(circuit, stream.state, data)
        outputs = seen[-1].output
        losses, errors = jax.vmap(lambda y, t, w: loss_and_error(self.loss, y, t, w))(
            outputs, data.ys, data.weight
        )
        steps, counts = count_steps(data), tuple(map(_count, seen[:-1]))
        asked = self._asked(circuit, feedback, seen, (errors, data.ys, data.weight))
        asked = [*map(partial(self._penalise, steps=steps), asked, counts), {OUTPUT: errors}]
        gradients, traces = [], []
        for index, stage in enumerate(circuit.stages):
            taps = self.rule.filter.taps(circuit) if index < len(circuit.hidden) else {}
            trace = stream.memory[index] if self.carry else None
            gradient, trace = self._stage(stage, taps, trace, asked[index], seen[index])
            gradients.append(gradient)
            traces.append(trace)
        rates = tuple(jnp.sum(c, axis=0) / jnp.maximum(jnp.sum(steps), 1.0) for c in counts)
        memory = tuple(traces) if self.carry else ()
        total = Circuit(tuple(gradients), circuit.all_layers)
        return Outcome(total, Stream(state, memory, ()), jnp.sum(losses), outputs, rates)

    def _asked(
        self, circuit: Circuit, feedback: Feedback, seen: "list[_Seen]", judged: tuple
    ) -> list[Rows]:
        """What the signal asks of every hidden layer's output or tap, at every step."""

        def at(moment: Moment, error: Array, target: Array, weight: Array) -> Signals:
            gains = tuple(map(_gain, circuit.stages, moment.before, moment.current))
            plain = Heard(moment, gains, error, target, weight, self.loss)
            heard = self.rule.hear(circuit, plain)
            return self.rule.signal(circuit, feedback, heard, ())[0]

        moments = Moment(
            tuple(s.incoming for s in seen),
            tuple(s.current for s in seen),
            tuple(s.before for s in seen),
            tuple(s.after for s in seen),
        )
        signals: Any = jax.vmap(at)(moments, *judged)
        return [{self.rule.filter.meets(circuit): signal} for signal in signals]

    def _penalise(self, asked: Rows, count: Array, steps: Array) -> Rows:
        """Add what the rate regulariser asks of a layer's output: the same at every step."""
        if not self.loss.rate.strength:
            return asked
        length = jax.tree.leaves(asked)[0].shape[0]
        penalty = jnp.broadcast_to(self.loss.rate.error(count, steps), (length, *count.shape))
        return asked | {OUTPUT: asked[OUTPUT] + penalty if OUTPUT in asked else penalty}

    def _stage(
        self, stage: Stage, taps: Taps, trace: Trace | None, asked: Rows, seen: "_Seen"
    ) -> tuple[Stage, Trace | None]:
        """Gradient of one stage, and its traces at the end of the block."""
        names = [*seen.before.s, *taps] if trace is not None else []
        start = _start(stage, taps, names, seen)
        weight = self.influence.own_weight(stage)
        adjoint, currents = _backward(stage, taps, weight, start, asked, seen)
        per_start = _collect(stage, adjoint, currents, seen, names)
        if trace is not None:
            per_start = [
                jax.tree.map(jnp.add, here, _older(trace, adjoint, index))
                for index, here in enumerate(per_start)
            ]
            per_start[0] = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), per_start[0])
        gradient = per_start[0].as_gradient(stage)
        return gradient, None if trace is None else _carried(
            stage, taps, trace, dict(zip(names, per_start[1:], strict=True)), seen
        )


class _Seen(NamedTuple):
    """A block as one stage saw it; arrays have time as first axis."""

    incoming: Float[Array, "time batch m"]
    current: Ports
    before: StageState
    output: Float[Array, "time batch n"]
    end: StageState
    valid: Bool[Array, "time batch"] | None

    @property
    def after(self) -> StageState:
        """The states after each step."""
        return jax.tree.map(
            lambda before, end: jnp.concatenate([before[1:], end[None]]), self.before, self.end
        )


def _forward(circuit: Circuit, state: State, data: Data) -> tuple[State, list[_Seen]]:
    """Simulate the block and keep of every step what the way back needs."""

    def body(state: State, now: tuple) -> tuple[State, tuple]:
        x, first, valid = now
        moment = circuit.step(state, x, first)
        after = hold(valid, moment.after, state)
        return after, (moment.current, state, tuple(stage.z for stage in after))

    first = circuit.stages[0].feedforward(data.xs)
    end, kept = jax.lax.scan(body, state, (data.xs, first, data.valid))
    outputs = kept[2]
    incoming = [data.xs, *outputs[:-2], circuit.read(list(outputs[:-1]))]
    return end, [
        _Seen(x, current, before, z, after, data.valid)
        for x, current, before, z, after in zip(incoming, *kept, end, strict=True)
    ]


def _count(seen: _Seen) -> Float[Array, "batch n"]:
    """Output summed over the steps that exist."""
    valid = True if seen.valid is None else seen.valid[..., None]
    return jnp.sum(jnp.where(valid, seen.output, 0.0), axis=0)


def _gain(stage: Stage, before: StageState, current: Ports) -> Rows:
    """Derivative of the output with respect to each current, within a step."""

    def output(current: Ports) -> Array:
        return stage.cell(stage.coefficients, before, current).z

    z, back = jax.vjp(output, current)
    return back(jnp.ones_like(z))[0]


def _start(stage: Stage, taps: Taps, names: list[str], seen: _Seen) -> Adjoint:
    """Cotangents at the end of the block: none for the loss, one for each carried quantity."""
    shape = (1 + len(names), *seen.before.z.shape[1:])
    zero = jnp.zeros(shape, seen.before.z.dtype)

    def unit(name: str) -> Array:
        return zero.at[1 + names.index(name)].set(1.0) if name in names else zero

    return Adjoint(
        {row: unit(row) for row in seen.before.s},
        zero,
        {tap: unit(tap) for tap in taps},
        {name: zero for name in stage.coefficients},
    )


def _backward(
    stage: Stage,
    taps: Taps,
    self_weight: Ports,
    start: Adjoint,
    asked: Rows,
    seen: _Seen,
) -> tuple[Adjoint, Ports]:
    """The reverse scan: cotangents before the block, and of every current.

    Those of the currents are (time, starts, batch, n).
    """
    batch = seen.before.z.shape[1]
    c = {k: jnp.broadcast_to(v, (batch, stage.size)) for k, v in stage.coefficients.items()}

    def body(after: Adjoint, now: tuple) -> tuple[Adjoint, Ports]:
        asked, before, current, valid = now
        tapped = {OUTPUT: after.z} | dict(after.taps)
        tapped |= {name: tapped[name].at[0].add(asked[name]) for name in tapped if name in asked}
        for name, tap in reversed(taps.items()):
            tapped[tap.source] = tapped[tap.source] + tap.gain * tapped[name]
        z = tapped[OUTPUT]
        _, back = jax.vjp(stage.cell, c, before, current)
        d_c, d_before, d_current = jax.vmap(back)(StageState(after.s, z))
        echoes = [weight[None, None] * d_current[port] for port, weight in self_weight.items()]
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

    return jax.lax.scan(body, start, (asked, seen.before, seen.current, seen.valid), reverse=True)


def _collect(
    stage: Stage, adjoint: Adjoint, currents: Ports, seen: _Seen, names: list[str]
) -> list[Sources]:
    """What the block itself contributes, for each start: products with presynaptic activity.

    Without carried traces the loss's part is summed over the batch at once, one large product.
    """
    axes = "tbn,tbm->bnm" if names else "tbn,tbm->nm"

    def per_sample(array: Array) -> Array:
        return array[..., None] if names else jnp.sum(array, axis=0)[..., None]

    def collect(index: int) -> Sources:
        current = {port: c[:, index] for port, c in currents.items()}

        def product(part: Ports, activity: Array) -> Ports:
            return {port: jnp.einsum(axes, current[port], activity) for port in part}

        bias = stage.bias
        return Sources(
            product(stage.weight, seen.incoming),
            None if stage.recurrent is None else product(stage.recurrent, seen.before.z),
            None if bias is None else {p: per_sample(jnp.sum(current[p], axis=0)) for p in bias},
            {k: per_sample(v[index]) for k, v in adjoint.coefficients.items()},
        )

    return [collect(index) for index in range(1 + len(names))]


def _older(trace: Trace, adjoint: Adjoint, index: int) -> Sources:
    """What the traces carried in contribute to one start.

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


def _carried(stage: Stage, taps: Taps, old: Trace, new: dict[str, Sources], seen: _Seen) -> Trace:
    """The traces at the end of the block."""
    direct, emit = emission(stage, seen.end.s)
    if seen.valid is not None:
        touched = jnp.any(seen.valid, axis=0)
        direct, emit = hold(touched, (direct, emit), (old.direct, old.emit))
    rows = {row: new[row] for row in old.rows}
    return Trace(rows, {name: new[name] for name in taps}, emit, direct)
