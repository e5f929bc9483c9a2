"""Feedback: what meets a trace: the filter it passes and the learning signal, as equations.

The filter is read from its own code; a signal is told by one function, registered for its type;
those of the library are in `inspect.signals`.
"""

from functools import singledispatch
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import sympy as sp
from jaxtyping import Array

from tracegrad.errors import UsageError
from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Cell, simplify, tangent
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.rows import unfolded
from tracegrad.inspect.symbolic import read
from tracegrad.learn.filter import OUTPUT, AbstractFilter
from tracegrad.model.network import Circuit


class Meeting(NamedTuple):
    """What the signal meets, the filter that made it, and the error the signal carries."""

    trace: sp.Symbol
    filter: tuple[Section, ...]
    error: Any


class Place(NamedTuple):
    """Where a hidden layer stands: whether the readout reads it, and the ports of the layer above.

    Without a layer above there are none. `states` are those of its neuron.
    """

    read: bool
    above: tuple[str, ...]
    states: tuple[str, ...] = ()


def meeting(filter: AbstractFilter, circuit: Circuit, first: Cell, readout: Cell) -> Meeting:
    """The filter's taps and error for a readout, from its own code.

    `circuit` is abstract; its first layer and its readout are traced as single units with the
    coefficients of these cells.
    """
    ends = (0, first), (-1, readout)
    names = [(stage, name) for stage, cell in ends for name in sorted(cell.coefficients)]
    one = jax.ShapeDtypeStruct((1,), jnp.result_type(float))

    def single(values: list[Array]) -> Circuit:
        told: dict[int, dict[str, Array]] = {stage: {} for stage, _ in ends}
        for (stage, name), value in zip(names, values, strict=True):
            told[stage][name] = value
        return eqx.tree_at(
            lambda c: [c.stages[stage].coefficients for stage in told],
            circuit,
            list(told.values()),
        )

    cells = dict(ends)
    symbols = [cells[stage].coefficients[name] for stage, name in names]
    sources: dict[str, str] = {}  # names, which a trace of arrays cannot return
    meets: list[str] = []

    def numbers(values: list[Array]) -> dict[str, tuple]:
        chain = filter.taps(single(values))
        sources.update({name: tap.source for name, tap in chain.items()})
        meets.append(filter.meets(single(values)))
        return {name: (tap.decay, tap.gain) for name, tap in chain.items()}

    taps, shape = jax.make_jaxpr(numbers, return_shape=True)([one] * len(names))
    told = jax.tree.unflatten(jax.tree.structure(shape), read(taps, symbols, {}))
    pair = jax.ShapeDtypeStruct((1, 1), one.dtype)
    error = jax.make_jaxpr(lambda c, e, g: filter.error(single(c), e, g))(
        [one] * len(names), pair, pair
    )
    carried = read(error, [*symbols, n.DELTA, _gain(readout)], {})[0]
    met = meets[-1]
    heard = {OUTPUT: n.E_NOW} | {name: _tap(name, met)[0] for name in told}
    equations = [
        Equation(now, (simplify(decay) * before, simplify(gain) * heard[sources[name]]))
        for name, (decay, gain) in told.items()
        for now, before in [_tap(name, met)]
    ]
    filters = (Section("Filter", tuple(equations)),) if equations else ()
    if met == OUTPUT and _forgets(readout):
        filters = (Section("Filter", (), "none [dropped: the readout's memory]"),)
    return Meeting(n.E_NOW if met == OUTPUT else n.EBAR_NOW, filters, carried)


def _forgets(readout: Cell) -> bool:
    """Whether a readout without a filter is heard at the present step only, though it remembers."""
    remembered = {n.trace(row, n.BEFORE) for row in readout.rows}
    return any(remembered & set(linear) for linear in readout.rows.values())


@singledispatch
def signal(kind: Any, place: Place, error: Any) -> tuple[Section, ...]:
    """Sections that say how the error becomes the signal of neuron i of a layer.

    The one called Signal ends with the signal, L_i, or has one for each state, L_s_i.
    """
    raise UsageError(
        f"explain has no equations for the signal {type(kind).__name__}. "
        "Register a function for it with tracegrad.inspect.feedback.signal.register."
    )


def _gain(readout: Cell) -> Any:
    """The readout's output over its current within a step."""
    rows = unfolded(readout.rows)
    parts = [
        readout.emit.get(n.trace(row, n.NOW), 0) * linear.get(tangent(""), 0)
        for row, linear in rows.items()
    ]
    return simplify(sum(parts))


def _tap(name: str, met: str) -> tuple[sp.Symbol, sp.Symbol]:
    if name == met:
        return n.EBAR_NOW, n.EBAR_BEFORE
    return sp.Symbol(f"q_{name}{n.NOW}"), sp.Symbol(f"q_{name}{n.BEFORE}")
