r"""Factored influence: a trace per synapse as a product, one factor of each end.

The eligibility of a synapse is
$e_{ji}=(\sum_{row}\mathrm{emit}_{j,row}\,f_{j,row})\,\hat x_i$, with a presynaptic factor
$\hat x$ and a postsynaptic one $f$: memory m + n in place of m n. A filter of the product itself
(a tap) needs memory for every synapse.
"""

from abc import abstractmethod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import (
    AbstractInfluence,
    Cotangents,
    Sources,
    lines,
    outer,
    presynaptic,
    synaptic,
    widths,
)
from tracegrad.learn.local import Local, Rows
from tracegrad.model.linear_map import AbstractMap
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.stage import Stage

Post = dict[str, Rows]  # row, then port; for coefficients: row, then name


class Factors(NamedTuple):
    """The two factors of a stage, traces of its coefficients, and the last emission.

    `pre` (batch, width) of each source; `post[row][port]`, `shift[row][c]`, `emit[row]` and
    `direct[c]` are (batch, n); `mass` (batch, 1) is the weight of what was smoothed so far;
    `taps` (batch, n, width) exist only where something filters.
    """

    pre: Sources
    post: Post
    shift: Post
    emit: Rows
    direct: Rows
    mass: Float[Array, "batch 1"]
    taps: dict[str, Sources]

    @property
    def output(self) -> tuple[Rows, Rows]:
        """The postsynaptic factor of the output by port, and the output's trace by coefficient."""
        shift = _emitted(self.emit, self.shift)
        return _emitted(self.emit, self.post), {c: e + self.direct[c] for c, e in shift.items()}


class AbstractFactored(AbstractInfluence):
    """An influence that stores two factors, and differs in how they go on."""

    @abstractmethod
    def advance(self, old: Factors, here: Local, seen: Sources) -> Factors:
        """The factors one step on: `pre`, `post` and `shift` of `old` replaced."""

    def shaped(self, circuit: Circuit, taps: Taps) -> Circuit:
        """As it is: the factors belong to lines and neurons. A filtered product does not."""
        return circuit.as_fan_in() if taps else circuit

    def init(
        self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray
    ) -> tuple[Factors, ...]:
        """All factors zero."""
        return tuple(
            _none(stage, taps if index < len(circuit.hidden) else {}, batch)
            for index, stage in enumerate(circuit.stages)
        )

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: tuple[Factors, ...],
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> tuple[Factors, ...]:
        """Both factors of every stage, and the taps there are."""
        done = []
        for index, (stage, old, here) in enumerate(
            zip(circuit.stages, memory, locals_, strict=True)
        ):
            now = self.advance(old, here, presynaptic(stage, moment, index))
            now = now._replace(emit=here.emit, direct=here.direct)
            filtered = {
                name: jax.tree.map(
                    lambda q, e, tap=taps[name]: tap.decay * q + tap.gain * e,
                    tapped,
                    _product(stage, now),
                )
                for name, tapped in old.taps.items()
            }
            done.append(now._replace(taps=filtered))
        return tuple(done)

    def pull(
        self, circuit: Circuit, memory: tuple[Factors, ...], cotangents: Cotangents
    ) -> Circuit:
        """Signal times postsynaptic factor, times presynaptic factor, summed over the batch."""
        stages = []
        for stage, factors, cotangent in zip(circuit.stages, memory, cotangents, strict=True):
            parts = [
                _outer(stage, factors, c) if name == OUTPUT else _tapped(factors.taps[name], c)
                for name, c in cotangent.items()
            ]
            total = jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *parts)
            stages.append(total.as_gradient(stage))
        return Circuit(tuple(stages), circuit.all_layers)


def carried(old: Factors, here: Local, traces: Post) -> Post:
    """Traces one step on by a neuron's own memory, without what this step adds."""
    rows: Post = {}
    for row, own in here.own.items():
        parts = [
            {name: (own[col] + here.echo[row] * old.emit[col]) * t for name, t in trace.items()}
            for col, trace in traces.items()
        ]
        rows[row] = jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *parts)
    return rows


def implicit(old: Factors, here: Local) -> Post:
    """Traces of the coefficients one step on, by a neuron's own memory without recurrence."""
    return {
        row: {
            c: trace + here.shift[c][row] + here.echo[row] * old.direct[c]
            for c, trace in traces.items()
        }
        for row, traces in carried(old, here, old.shift).items()
    }


def _emitted(emit: Rows, rows: Post) -> Rows:
    total: Rows = {}
    for row, values in rows.items():
        for name, value in values.items():
            part = emit[row] * value
            total[name] = total[name] + part if name in total else part
    return total


def _outer(stage: Stage, factors: Factors, c: Float[Array, "batch n"]) -> Sources:
    """Gradient (n, width) for a cotangent of the output; of a map, of what it learns."""
    post, coefficients = factors.output

    def below(port: str, x: Array) -> Array:
        weight = stage.weight[port]
        if isinstance(weight, AbstractMap):
            return weight.gradient(c * post[port], x)
        return jnp.einsum("bn,bm->nm", c * post[port], x)

    def part(pre: Rows | None) -> Rows | None:
        if pre is None:
            return None
        return {port: jnp.einsum("bn,bm->nm", c * post[port], x) for port, x in pre.items()}

    pre = factors.pre
    summed = {name: jnp.sum(c * e, axis=0)[:, None] for name, e in coefficients.items()}
    weight = {port: below(port, x) for port, x in pre.weight.items()}
    return Sources(weight, part(pre.recurrent), part(pre.bias), summed)


def _product(stage: Stage, factors: Factors) -> Sources:
    """Eligibility of every synapse (batch, n, width), for taps."""
    post, coefficients = factors.output

    def part(pre: Rows | None) -> Rows | None:
        if pre is None:
            return None
        return {port: outer(post[port], x) for port, x in pre.items()}

    pre = synaptic(stage, factors.pre)
    own = {name: e[..., None] for name, e in coefficients.items()}
    return Sources(part(pre.weight) or {}, part(pre.recurrent), part(pre.bias), own)


def _tapped(tap: Sources, c: Float[Array, "batch n"]) -> Sources:
    return jax.tree.map(lambda e: jnp.einsum("bn,bnw->nw", c, e), tap)


def _none(stage: Stage, taps: Taps, batch: int) -> Factors:
    def zeros(*shape: int) -> Array:
        return jnp.zeros((batch, *shape), stage.dtype)

    rows = stage.rest(batch).s
    ports = {**stage.weight, **(stage.recurrent or {})}
    pre = lines(stage, zeros)._replace(coefficients={})
    flat = zeros(stage.size)
    return Factors(
        pre,
        {row: {port: flat for port in ports} for row in rows},
        {row: {c: flat for c in stage.coefficients} for row in rows},
        {row: flat for row in rows},
        {c: flat for c in stage.coefficients},
        zeros(1),
        {name: widths(stage, lambda width: zeros(stage.size, width)) for name in taps},
    )
