r"""Full influence: every entry of $G=\partial h/\partial w$, as RTRL carries it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tracegrad.learn.demand import demanded
from tracegrad.learn.filter import OUTPUT, Taps, through
from tracegrad.learn.influence import (
    AbstractInfluence,
    Cotangents,
    Sources,
    forcing,
    presynaptic,
    widths,
)
from tracegrad.learn.local import Local, Rows
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.stage import Ports, Stage

Columns = tuple[Sources, ...]  # one entry per stage up to one's own: no weight reaches down
Kept = tuple[Bool[Array, "batch n _"], ...]


class Reach(NamedTuple):
    """Influence of all weights on one stage; every array is (batch, n, n_source, width).

    That on the output is not carried but put together where it is read, from the last emission,
    (batch, n), of the states that emit. `kept` says for each stage of origin which entries are
    carried; empty: all.
    """

    rows: dict[str, Columns]
    taps: dict[str, Columns]
    emit: Rows
    direct: Rows
    kept: Kept = ()


class Full(AbstractInfluence):
    r"""The whole influence matrix, across neurons and layers (RTRL, exact).

    $G^t_{row}=\mathrm{own}\,G^{t-1}+\mathrm{echo}\,G_z^{t-1}
    +\mathrm{drive}\,\big(V G_z^{t-1}+W G_{z,below}^{t}+x\big),\quad G_z^t=\mathrm{emit}\,G^t$   (1)

    Memory O(batch n k p) and time O(batch n^2 k p) a step, for n neurons, k states, p weights in
    the whole network. Source: Williams & Zipser 1989.
    """

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing is dropped."""
        return circuit

    def init(
        self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray
    ) -> tuple[Reach, ...]:
        """All influence zero."""
        reaches = []
        for index, stage in enumerate(circuit.stages):
            sources = circuit.stages[: index + 1]
            empty = tuple(_zeros(source, stage.size, batch) for source in sources)
            here = taps if index < len(circuit.hidden) else {}
            still = jnp.zeros((batch, stage.size), stage.dtype)
            rows = stage.rest(batch).s
            reaches.append(
                Reach(
                    {row: empty for row in rows},
                    {name: empty for name in here},
                    {row: still for row in _emitting(stage)},
                    {name: still for name in stage.coefficients},
                )
            )
        return tuple(reaches)

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: tuple[Reach, ...],
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> tuple[Reach, ...]:
        """Equation (1), up the stack."""
        done: list[Reach] = []
        # Else XLA computes derivatives of a neuron again for every entry of its influence.
        locals_ = jax.lax.optimization_barrier(locals_)
        for index, stage in enumerate(circuit.stages):
            coupled = _from_below(circuit, done, index)
            if stage.recurrent is not None:
                coupled.append(_couple(stage.recurrent, memory[index], index))
            seen = presynaptic(stage, moment, index)
            reach = _push_stage(memory[index], locals_[index], coupled, seen, index)
            if old := memory[index].taps:
                reach = reach._replace(taps=through(taps, old, on_output(reach, index)))
            done.append(reach)
        return tuple(done)

    def pull(self, circuit: Circuit, memory: tuple[Reach, ...], cotangents: Cotangents) -> Circuit:
        """Cotangent times influence, summed over neurons and the batch."""
        parts = []
        for index, (reach, cotangent) in enumerate(zip(memory, cotangents, strict=True)):
            for name, c in cotangent.items():
                if name == OUTPUT and c.ndim == 2:
                    parts.append(_read_output(circuit, c, reach, index))
                else:
                    columns = on_output(reach, index) if name == OUTPUT else reach.taps[name]
                    parts.append(_read(circuit, c, columns))
        columns: Columns = _total(parts)
        stages = tuple(
            source.as_gradient(stage) for source, stage in zip(columns, circuit.stages, strict=True)
        )
        return Circuit(stages, circuit.all_layers)


def _read(circuit: Circuit, cotangent: Float[Array, "batch n *units"], columns: Columns) -> Columns:
    """Cotangent times influence; with a third axis it has a value for each unit of origin."""
    if cotangent.ndim == 2:
        return jax.tree.map(lambda g: jnp.einsum("bn,bnsw->sw", cotangent, g), columns)
    ends = [sum(s.size for s in circuit.stages[: i + 1]) for i in range(len(columns))]
    asked = jnp.split(cotangent, ends, axis=-1)[: len(columns)]
    return tuple(
        jax.tree.map(lambda g, c=c: jnp.einsum("bns,bnsw->sw", c, g), column)
        for column, c in zip(columns, asked, strict=True)
    )


def _read_output(
    circuit: Circuit, cotangent: Float[Array, "batch n"], reach: Reach, index: int
) -> Columns:
    """The same for the output, whose influence is not put together for it."""
    emitted = [_read(circuit, cotangent * e, reach.rows[row]) for row, e in reach.emit.items()]
    direct = {c: jnp.sum(cotangent * d, axis=0)[:, None] for c, d in reach.direct.items()}
    return _add_direct(_total(emitted), index, direct)


def _total(parts: list[Columns]) -> Columns:
    """The sum of influences, of which those from below lack the last stages of origin."""
    return tuple(
        jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *found)
        for source in range(max(map(len, parts)))
        if (found := [columns[source] for columns in parts if source < len(columns)])
    )


def _zeros(source: Stage, n: int, batch: int) -> Sources:
    return widths(source, lambda w: jnp.zeros((batch, n, source.size, w), source.dtype))


def _from_below(circuit: Circuit, done: list[Reach], index: int) -> list[dict[str, Columns]]:
    """Influence on what stage `index` receives from the layers below it (none for the first)."""
    stage = circuit.stages[index]
    if index == 0:
        return []
    if index == len(circuit.hidden) and circuit.all_layers:
        outputs = [on_output(reach, below) for below, reach in enumerate(done)]
        stacked = tuple(_stacked(circuit, outputs, source) for source in range(index))
        return [{port: _mix(weight[None], stacked) for port, weight in stage.weight.items()}]
    return [_couple(stage.weight, done[-1], index - 1)]


def _stacked(circuit: Circuit, outputs: list[Columns], source: int) -> Sources:
    """Influence of one stage's weights on the outputs of all layers, none on those below it."""
    origin, batch = circuit.stages[source], jax.tree.leaves(outputs)[0].shape[0]
    nothing = [_zeros(origin, stage.size, batch) for stage in circuit.stages[:source]]
    found = [columns[source] for columns in outputs[source:]]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *nothing, *found)


def _couple(weights: Ports, reach: Reach, index: int) -> dict[str, Columns]:
    """Influence of a stage's output carried through a connection, into each port.

    Emission scales the connection and not the influence, which is larger.
    """

    def through(weight: Float[Array, "n m"], emitted: Float[Array, "batch m"]) -> Array:
        return weight[None] * emitted[:, None, :]

    def into(weight: Float[Array, "n m"]) -> Columns:
        parts = [_mix(through(weight, e), reach.rows[row]) for row, e in reach.emit.items()]
        direct = {c: through(weight, d)[..., None] for c, d in reach.direct.items()}
        return _add_direct(_total(parts), index, direct)

    return {port: into(weight) for port, weight in weights.items()}


def _emitting(stage: Stage) -> list[str]:
    """States that the output depends on."""
    one = (stage.coefficients, {row: a[0] for row, a in stage.rest(1).s.items()})
    read = demanded(lambda c, s: stage.neuron.output(c, s), *one)
    _, named = jax.tree.unflatten(jax.tree.structure(one), read)
    return [row for row, needed in named.items() if needed]


def _mix(weight: Float[Array, "samples n m"], columns: Columns) -> Columns:
    """Carry influence through a connection, one for all samples or each; a product a sample."""

    def through(g: Float[Array, "batch m source width"]) -> Float[Array, "batch n source width"]:
        flat = jnp.matmul(weight, g.reshape(*g.shape[:2], -1))
        return flat.reshape(g.shape[0], weight.shape[1], *g.shape[2:])

    return jax.tree.map(through, columns)


def _scale(values: Float[Array, "batch n"], columns: Columns) -> Columns:
    return jax.tree.map(lambda g: values[:, :, None, None] * g, columns)


def _place(added: Sources, columns: Columns, index: int) -> Columns:
    """Add what a stage's own weights do to its own neurons: the diagonal of the neuron axes."""

    own = jax.tree.map(lambda g, a: g + _diagonal(a) * a[:, :, None, :], columns[index], added)
    return (*columns[:index], own, *columns[index + 1 :])


def _diagonal(a: Float[Array, "batch n *_"]) -> Float[Array, "1 n n 1"]:
    """One where a neuron meets itself."""
    return jnp.eye(a.shape[1], dtype=a.dtype)[None, :, :, None]


def _push_stage(
    old: Reach, here: Local, coupled: list[dict[str, Columns]], seen: Sources, index: int
) -> Reach:
    rows = {}
    for row in here.own:
        own = dict(here.own[row])
        own |= {col: own[col] + here.echo[row] * emitted for col, emitted in old.emit.items()}
        parts = [_scale(own[col], old.rows[col]) for col in old.rows]
        parts.extend(
            _scale(here.drive[row][port], columns)
            for mixed in coupled
            for port, columns in mixed.items()
        )
        added = forcing(here, row, here.echo, old.direct, seen)
        rows[row] = _keep(old.kept, _place(added, _total(parts), index))
    emit = {row: here.emit[row] for row in old.emit}
    return Reach(rows, {}, emit, here.direct, old.kept)


def on_output(reach: Reach, index: int) -> Columns:
    """Influence on the output: emit times that on the states, plus direct dependence."""
    columns = _total([_scale(e, reach.rows[row]) for row, e in reach.emit.items()])
    direct = {c: d[:, :, None, None] * _diagonal(d) for c, d in reach.direct.items()}
    return _add_direct(columns, index, direct)


def _keep(kept: Kept, columns: Columns) -> Columns:
    """Drop the entries that are not carried; of stages above, none is held."""
    if not kept:
        return columns
    return tuple(
        jax.tree.map(lambda g, mask=mask: jnp.where(mask[..., None], g, 0.0), column)
        for mask, column in zip(kept[: len(columns)], columns, strict=True)
    )


def _add_direct(columns: Columns, index: int, direct: Rows) -> Columns:
    """Add the direct dependence of outputs on the coefficients of their own neuron."""
    own = columns[index]
    more = {c: g + direct[c] for c, g in own.coefficients.items()}
    return (*columns[:index], own._replace(coefficients=more), *columns[index + 1 :])
