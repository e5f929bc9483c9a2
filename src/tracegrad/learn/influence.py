r"""Influence: which entries of $G=\partial h/\partial w$ a rule carries forward in time.

An influence is a triple (`init`, `push`, `pull`): nothing yet, one step on, and the product with a
cotangent. Its memory has the batch as the first axis of every array.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, RATE, Taps, through
from tracegrad.learn.local import Local, Rows
from tracegrad.learn.signal import Feedback
from tracegrad.model.linear_map import AbstractMap, FanIn, Weights, filled
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.parameter import setting
from tracegrad.model.stage import Ports, Stage

# Each stage has its own size. A masked influence may be asked for each unit of origin apart.
Cotangents = tuple[dict[str, Float[Array, "batch _ ..."]], ...]


class Sources(NamedTuple):
    """One value for each thing a stage learns; width 1 for a bias and for coefficients.

    Weights and bias have one value for each port.
    """

    weight: dict[str, Any]
    recurrent: dict[str, Any] | None
    bias: dict[str, Any] | None
    coefficients: dict[str, Any]

    def as_gradient(self, stage: Stage) -> Stage:
        """Gradient in the shape of a stage, from arrays of shape (n, width)."""
        flat = {name: value[..., 0] for name, value in self.coefficients.items()}
        weight = {port: filled(stage.weight[port], value) for port, value in self.weight.items()}
        bias = None if self.bias is None else {k: value[..., 0] for k, value in self.bias.items()}
        return Stage(weight, self.recurrent, bias, flat, stage.neuron)


class AbstractInfluence(eqx.Module):
    """Which paths from a weight to the states are kept, and how they are carried.

    `unbiased` says of a random influence that its mean over the draws is the exact one, for every
    parameter. `stepwise` is the reason for which a rule with it goes step by step.
    """

    unbiased: ClassVar[bool] = False
    stepwise: ClassVar[str] = "the influence is not one block per neuron"

    def every_step(self) -> "AbstractInfluence":
        """The same with no step left out at random: whom to ask what it can ever reach or need."""
        return self

    def shaped(self, circuit: Circuit, taps: Taps) -> Circuit:
        """The circuit in the form this influence is carried for: of matrices."""
        return circuit.as_matrices()

    @abstractmethod
    def prepare(self, circuit: Circuit) -> Circuit:
        """The circuit with the derivatives this influence drops detached; values unchanged."""

    @abstractmethod
    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> Any:
        """No influence yet; `key` is for random influences, and every stream has its own."""

    def begin(self, memory: Any, feedback: Feedback) -> Any:
        """The memory at the start of a block: the rate regulariser's sum starts anew, because its
        window is the block. An influence with learned parts takes them from the feedback here."""
        return tuple(part._replace(taps=forget(part.taps)) for part in memory)

    @abstractmethod
    def push(
        self, circuit: Circuit, taps: Taps, memory: Any, moment: Moment, locals_: tuple[Local, ...]
    ) -> Any:
        """Influence after one more step."""

    @abstractmethod
    def pull(self, circuit: Circuit, memory: Any, cotangents: Cotangents) -> Circuit:
        """Gradient for cotangents of outputs (`OUTPUT`) and taps of every stage."""


def forget(taps: dict[str, Any]) -> dict[str, Any]:
    """Taps with the sum of the rate regulariser at zero."""
    return {
        name: jax.tree.map(jnp.zeros_like, tap) if name == RATE else tap
        for name, tap in taps.items()
    }


Carried = TypeVar("Carried", bound=AbstractInfluence)


class Trace(NamedTuple):
    """Eligibility traces of one stage, each (batch, n, width), and its last emission (batch, n)."""

    rows: dict[str, Sources]
    taps: dict[str, Sources]
    emit: Rows
    direct: Rows


class Block(AbstractInfluence):
    r"""One block per neuron: a weight's influence on its own postsynaptic neuron only.

    $\epsilon^{t}_{row}=\sum_{col}\big(\mathrm{own}+(\mathrm{echo}+\mathrm{drive}\,[V_{jj}])\,
    \mathrm{emit}^{t-1}\big)_{row,col}\,\epsilon^{t-1}_{col}+\mathrm{drive}_{row}\,x_i,\qquad
    e^t=\sum_{row}\mathrm{emit}_{row}\,\epsilon^{t}_{row}$   (1)

    `self_weight` keeps the bracket, `reset` keeps the derivative of the reset. Memory O(batch k p)
    for k states and p weights, time O(batch k^2 p) a step. Exact for a layer without recurrence
    (k taps included); otherwise it drops every path through another neuron of the layer.

    `common` names, of each stage, states whose traces all neurons have in common (see `alike`):
    $\epsilon_{ji,row}=\hat x_{i,row}$ is then held once, O(batch p/n), with the same result; if all
    are, and nothing filters, a layer has m + n numbers a sample.
    Source: Zenke & Neftci 2021; equals SnAp-1 on neuron blocks.
    """

    self_weight: bool = setting(True)
    reset: bool = setting(True)
    common: tuple[frozenset[str], ...] = setting(())

    def shaped(self, circuit: Circuit, taps: Taps) -> Circuit:
        """A trace for each synapse that there is."""
        return circuit.as_fan_in()

    def prepare(self, circuit: Circuit) -> Circuit:
        """Detach the resets unless they are kept."""
        return circuit if self.reset else circuit.detach_reset()

    def init(
        self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray
    ) -> tuple[Trace, ...]:
        """All traces zero; those in common are (batch, 1, width)."""
        return tuple(
            _no_trace(stage, taps if index < len(circuit.hidden) else {}, batch, self._once(index))
            for index, stage in enumerate(circuit.stages)
        )

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: tuple[Trace, ...],
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> tuple[Trace, ...]:
        """Equation (1) for every stage."""
        done = []
        for index, (stage, trace, here) in enumerate(
            zip(circuit.stages, memory, locals_, strict=True)
        ):
            seen = synaptic(stage, presynaptic(stage, moment, index))
            rows = _advance(here, self.echo(stage, here), trace, seen, self._once(index))
            now = Trace(rows, trace.taps, here.emit, here.direct)
            kept = through(taps, trace.taps, eligibility(now)) if trace.taps else {}
            done.append(now._replace(taps=kept))
        return tuple(done)

    def _once(self, index: int) -> frozenset[str]:
        return self.common[index] if self.common else frozenset()

    def own_weight(self, stage: Stage) -> Ports:
        """The self-weight $V_{jj}$ of each port, (n,), as far as it is kept."""
        if stage.recurrent is None or not self.self_weight:
            return {}
        return {port: jnp.diagonal(weight) for port, weight in stage.recurrent.items()}

    def inner_weight(self, circuit: Circuit, index: int) -> Ports:
        """The recurrent weights of a stage that are kept: each neuron's own."""
        return self.own_weight(circuit.stages[index])

    def echo(self, stage: Stage, here: Local) -> Rows:
        """What a neuron's last output does to its states, through its self-weight too."""
        return through_self(here, self.own_weight(stage)).echo

    def pull(self, circuit: Circuit, memory: tuple[Trace, ...], cotangents: Cotangents) -> Circuit:
        """Signal times eligibility trace, summed over the batch."""
        stages = []
        for index, (stage, trace, cotangent) in enumerate(
            zip(circuit.stages, memory, cotangents, strict=True)
        ):
            if self._once(index):
                stages.append(pull_trace(trace, cotangent).as_gradient(stage))
            else:
                read = {OUTPUT: eligibility(trace), **trace.taps, **trace.rows}
                stages.append(pull_stage(stage, read, cotangent))
        return Circuit(tuple(stages), circuit.all_layers)


def held_once(influence: Carried, common: tuple[frozenset[str], ...]) -> Carried:
    """The influence, with traces that all neurons of a stage have in common held once."""
    if not common:
        return influence
    assert isinstance(influence, Block)  # `alike` finds nothing for others
    return replace(influence, common=common)


def through_self(here: Local, self_weight: Ports) -> Local:
    """Local derivatives with a self-weight of each port, (n,), as part of what the output does."""
    echo = here.echo
    for port, weight in self_weight.items():
        echo = {
            row: e + here.drive[row][port] * weight.reshape(*[1] * (e.ndim - 1), -1)
            for row, e in echo.items()
        }
    return here._replace(echo=echo)


def _advance(
    here: Local, echo: Rows, trace: Trace, seen: Sources, once: frozenset[str]
) -> dict[str, Sources]:
    """Equation (1) of `Block` for every state; the states `once` are the first neuron's for all."""
    rows = {}
    for row in here.own:
        rows[row] = _row(here, echo, trace, seen, row)
        if row in once:
            first, said, held = jax.tree.map(lambda a: a[:, :1], (here, echo, trace))
            held = held._replace(rows={col: trace.rows[col] for col in sorted(once)})
            one = _row(first, said, held, seen, row)
            rows[row] = one._replace(coefficients=rows[row].coefficients)
    return rows


def _row(here: Local, echo: Rows, trace: Trace, seen: Sources, row: str) -> Sources:
    total = forcing(here, row, echo, trace.direct, seen)
    for col, old in trace.rows.items():
        own = here.own[row][col] + echo[row] * trace.emit[col]
        total = jax.tree.map(lambda a, b, w=own: a + w[..., None] * b, total, old)
    return total


def _no_trace(stage: Stage, taps: Taps, batch: int, once: frozenset[str]) -> Trace:
    def zeros(width: int, neurons: int = stage.size) -> Array:
        return jnp.zeros((batch, neurons, width), stage.dtype)

    empty = widths(stage, zeros)
    single = widths(stage, lambda width: zeros(width, 1))
    single = single._replace(coefficients=empty.coefficients)
    rows = stage.rest(batch).s
    flat = zeros(1)[..., 0]
    return Trace(
        {row: single if row in once else empty for row in rows},
        {name: empty for name in taps},
        {row: flat for row in rows},
        {name: flat for name in stage.coefficients},
    )


def pull_stage(stage: Stage, read: dict[str, Sources], cotangent: Rows) -> Stage:
    """Gradient of one stage: what is asked times the trace of that name, summed over the batch."""
    return _sum([_meet(c, read[name]) for name, c in cotangent.items()]).as_gradient(stage)


def pull_trace(trace: Trace, cotangent: Rows) -> Sources:
    """The same of a whole trace, without putting that of the output together."""
    asked, z = dict(cotangent), cotangent.get(OUTPUT)
    if z is not None:
        del asked[OUTPUT]
        asked |= {row: asked.get(row, 0.0) + z * emit for row, emit in trace.emit.items()}
    read = {**trace.taps, **trace.rows}
    total = _sum([_meet(c, read[name]) for name, c in asked.items()])
    if z is None:
        return total
    direct = {k: jnp.sum(z * d, axis=0)[:, None] for k, d in trace.direct.items()}
    added = {k: g + direct[k] for k, g in total.coefficients.items()}
    return total._replace(coefficients=added)


def _sum(parts: list[Sources]) -> Sources:
    return jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *parts)


def _meet(c: Float[Array, "batch n"], sources: Sources) -> Sources:
    return jax.tree.map(lambda e: _met(c, e), sources)


def _met(c: Float[Array, "batch n"], e: Float[Array, "batch _ width"]) -> Float[Array, "n width"]:
    """Signal times a trace of every neuron, or of one for all."""
    if e.shape[1] == c.shape[1]:
        return jnp.einsum("bn,bnw->nw", c, e)
    return jnp.einsum("bn,bw->nw", c, e[:, 0])


def widths(stage: Stage, make: Callable[[int], Any]) -> Sources:
    """`make(width)` for each thing a stage learns, with a width of as many synapses."""
    weight = {port: make(_width(weight)) for port, weight in stage.weight.items()}
    return lines(stage, make)._replace(weight=weight)


def lines(stage: Stage, make: Callable[[int], Any]) -> Sources:
    """`make(width)` for each thing a stage learns, with a width of as many lines."""
    return Sources(
        {port: make(stage.lines) for port in stage.weight},
        None if stage.recurrent is None else {port: make(stage.size) for port in stage.recurrent},
        None if stage.bias is None else {port: make(1) for port in stage.bias},
        {name: make(1) for name in stage.coefficients},
    )


def _width(weight: Weights) -> int:
    assert not isinstance(weight, AbstractMap) or isinstance(weight, FanIn)  # see `shaped`
    return weight.width if isinstance(weight, FanIn) else weight.shape[1]


def synaptic(stage: Stage, seen: Sources) -> Sources:
    """What each synapse sees, one after the other; of an all-to-all connection the lines."""
    weight = {
        port: w.spread(seen.weight[port]) if isinstance(w, FanIn) else seen.weight[port]
        for port, w in stage.weight.items()
    }
    return seen._replace(weight=weight)


def presynaptic(stage: Stage, moment: Moment, index: int) -> Sources:
    """What each synapse of a stage sees at a step, (batch, width); a bias sees 1."""
    x, z = moment.incoming[index], moment.before[index].z
    return Sources(
        {port: x for port in stage.weight},
        None if stage.recurrent is None else {port: z for port in stage.recurrent},
        None if stage.bias is None else {port: jnp.ones_like(x[:, :1]) for port in stage.bias},
        {},
    )


def outer(post: Float[Array, "batch n"], x: Array) -> Float[Array, "batch n width"]:
    """Each neuron's number times what its synapses see: lines, (batch, width), or its own."""
    return post[..., None] * (x[:, None, :] if x.ndim == 2 else x)


def forcing(here: Local, row: str, echo: Rows, direct: Rows, seen: Sources) -> Sources:
    """What this step itself adds to one row's trace: drive times presynaptic activity."""

    def driven(part: dict[str, Array] | None) -> dict[str, Array] | None:
        if part is None:
            return None
        return {port: outer(here.drive[row][port], x) for port, x in part.items()}

    own = {c: (here.shift[c][row] + echo[row] * direct[c])[..., None] for c in here.shift}
    return Sources(driven(seen.weight) or {}, driven(seen.recurrent), driven(seen.bias), own)


def eligibility(trace: Trace) -> Sources:
    """The trace of the output: emit times the traces of the states, plus direct dependence."""
    parts = [
        jax.tree.map(lambda e, w=trace.emit[row]: w[..., None] * e, sources)
        for row, sources in trace.rows.items()
    ]
    total: Sources = jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *parts)
    direct = {c: e + trace.direct[c][..., None] for c, e in total.coefficients.items()}
    return total._replace(coefficients=direct)
