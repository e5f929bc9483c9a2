r"""chunk: run a block forward, then one reverse scan per neuron; a trace is touched once per block.

For groups of neurons of one stage (`Masked`) the scan goes back through the recurrent weights
inside a group too, $\lambda_z^{t}\mathrel{+}=(M\odot V)^\top\mathrm{drive}^\top\lambda^{t+1}$.

With $\lambda$ the cotangent of a neuron's own states, taps and output, per neuron and backwards:
$\lambda^t=\ell^t+\mathrm{own}^{t+1\top}\lambda^{t+1}$; the block's gradient is one product of
$\mathrm{drive}^\top\lambda$ with the presynaptic activity, plus $\lambda^0$ times the trace carried
in. The trace carried out is the same scan started from each state and tap at the end.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import Block, Sources, Trace
from tracegrad.learn.local import Rows, emission
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.reverse import AbstractReverse, Seen
from tracegrad.learn.signal import Feedback
from tracegrad.model.linear_map import AbstractMap, FanIn, Weights
from tracegrad.model.network import Circuit, State, hold
from tracegrad.model.over_time import over_time
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


class Chunk(AbstractReverse):
    """Exact for block influences, over block boundaries too if a block is one neuron.

    Memory O(K batch k n) for a block of K steps besides the traces O(batch (k+taps) p), which are
    read and written once a block; with `carry=False` (independent sequences) there are no traces.
    """

    carry: bool = setting(True)

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
        before, currents = _backward(stage, taps, weight, after, asked, seen)
        gradient = _collect(stage, before, currents, seen, [])[0].as_gradient(stage)
        nothing = jax.tree.map(jnp.zeros_like, before.coefficients)
        return gradient, before._replace(coefficients=nothing)


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
) -> tuple[Adjoint, Ports]:
    """The reverse scan: cotangents before the block, and of every current.

    Those of the currents are (time, starts, batch, n).
    """
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
    return over_time(body, start, past, reverse=True)


def _echo(weight: Array, d_current: Float[Array, "starts batch n"]) -> Array:
    """Back through a neuron's own weight, (n,), or through those inside groups, (n, n)."""
    return weight[None, None] * d_current if weight.ndim == 1 else d_current @ weight


def _collect(
    stage: Stage, adjoint: Adjoint, currents: Ports, seen: Seen, names: list[str]
) -> list[Sources]:
    """What the block itself contributes, for each start: products with presynaptic activity.

    Without carried traces the loss's part is summed over the batch at once, one large product.
    """

    def per_sample(array: Array) -> Array:
        return array[..., None] if names else jnp.sum(array, axis=0)[..., None]

    def collect(index: int) -> Sources:
        current = {port: c[:, index] for port, c in currents.items()}

        def product(part: dict[str, Any], activity: Array) -> Ports:
            return {
                port: _product(weight, current[port], activity, bool(names))
                for port, weight in part.items()
            }

        bias = stage.bias
        return Sources(
            product(stage.weight, seen.incoming),
            None if stage.recurrent is None else product(stage.recurrent, seen.before.z),
            None if bias is None else {p: per_sample(jnp.sum(current[p], axis=0)) for p in bias},
            {k: per_sample(v[index]) for k, v in adjoint.coefficients.items()},
        )

    return [collect(index) for index in range(1 + len(names))]


def _product(weight: Weights, current: Array, activity: Array, per_sample: bool) -> Array:
    """Summed over time, and over the batch as one product unless per sample is asked."""
    if isinstance(weight, FanIn) and per_sample:
        return weight.traced(current, activity)
    if isinstance(weight, AbstractMap):
        return weight.gradient(current, activity)
    if per_sample:
        return jnp.einsum("tbn,tbm->bnm", current, activity)
    flat = (a.reshape(-1, a.shape[-1]) for a in (current, activity))
    return jnp.matmul(next(flat).T, next(flat))


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


def _carried(stage: Stage, taps: Taps, old: Trace, new: dict[str, Sources], seen: Seen) -> Trace:
    """The traces at the end of the block."""
    direct, emit = emission(stage, {row: s[-1] for row, s in seen.after.s.items()})
    if seen.valid is not None:
        touched = jnp.any(seen.valid, axis=0)
        direct, emit = hold(touched, (direct, emit), (old.direct, old.emit))
    rows = {row: new[row] for row in old.rows}
    return Trace(rows, {name: new[name] for name in taps}, emit, direct)
