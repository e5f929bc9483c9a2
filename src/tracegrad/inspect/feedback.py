"""Feedback: what meets a trace: the filter it passes and the learning signal, as equations.

The filter is read from its own code; a signal is told by one function, registered for its type.
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
from tracegrad.inspect.recursion import unfolded
from tracegrad.inspect.symbolic import read
from tracegrad.learn.filter import OUTPUT, AbstractFilter
from tracegrad.learn.signal import Adaptive, Random, Symmetric, ThroughReadout
from tracegrad.model.network import Circuit

OUTPUTS = sp.Symbol("n_out")


class Meeting(NamedTuple):
    """What the signal meets, the filter that made it, and the error the signal carries."""

    trace: sp.Symbol
    filter: tuple[Section, ...]
    error: Any


class Place(NamedTuple):
    """Where a hidden layer stands: whether the readout reads it, and the ports of the layer above.

    Without a layer above there are none.
    """

    read: bool
    above: tuple[str, ...]


def meeting(filter: AbstractFilter, circuit: Circuit, readout: Cell) -> Meeting:
    """The filter's taps and error for a readout, from its own code.

    `circuit` is abstract; its readout is traced as a single unit with the readout's coefficients.
    """
    names = sorted(readout.coefficients)
    one = jax.ShapeDtypeStruct((1,), jnp.result_type(float))

    def single(values: list[Array]) -> Circuit:
        one = dict(zip(names, values, strict=True))
        return eqx.tree_at(lambda c: c.stages[-1].coefficients, circuit, one)

    symbols = [readout.coefficients[name] for name in names]
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
    """Sections that say how the error becomes the signal of neuron i of a layer."""
    raise UsageError(
        f"explain has no equations for the signal {type(kind).__name__}. "
        "Register a function for it with tracegrad.inspect.feedback.signal.register."
    )


@signal.register
def _(kind: Symmetric, place: Place, error: Any) -> tuple[Section, ...]:
    terms = []
    if place.read:
        terms.append(sp.Sum(sp.Symbol("W_o_ki") * error, (n.K, 1, OUTPUTS)))
    note = ""
    for port in place.above:
        gain = n.at_port("g_above", port, "k", n.NOW)
        up = n.at_port("W_above", port, "ki") * sp.Symbol("L_above_k[t]") * gain
        terms.append(sp.Sum(up, (n.K, 1, sp.Symbol("n_above"))))
        note += f"{n.at_port('g_above', port, 'k')}: dz_k/d{n.at_port('I', port, 'k')}, "
    if note:
        note = (
            f"{note.removesuffix(', ')} in the layer above at this step "
            "[dropped: the memory of the layers above]"
        )
    return (Section("Signal", (Equation(n.SIGNAL, tuple(terms)),), note),)


def _broadcast(error: Any) -> tuple[Section, ...]:
    heard = sp.Sum(sp.Symbol("B_ik") * error, (n.K, 1, OUTPUTS))
    note = "B: random feedback in place of the true weights"
    return (Section("Signal", (Equation(n.SIGNAL, (heard,)),), note),)


@signal.register
def _(kind: Random, place: Place, error: Any) -> tuple[Section, ...]:
    return _broadcast(error)


@signal.register
def _(kind: Adaptive, place: Place, error: Any) -> tuple[Section, ...]:
    change, rate = sp.Symbol("Delta W_o_ki"), sp.Float(str(kind.weight_decay))
    follow = Equation(sp.Symbol("Delta B_ik"), (change, -n.ETA * rate * sp.Symbol("B_ik")))
    note = f"Delta W_o_ki: that of the readout, which also decays, by -eta*{rate:.3g}*W_o_ki"
    return (*_broadcast(error), Section("Feedback", (follow,), note))


@signal.register
def _(kind: ThroughReadout, place: Place, error: Any) -> tuple[Section, ...]:
    return ()


def change(met: sp.Symbol, heard: Any, weight: sp.Symbol) -> Section:
    """The weight change: signal times trace, summed over time."""
    summed = -n.ETA * sp.Sum(heard * met, (n.T, 1, sp.Symbol("n")))
    note = f"{weight} stands for every weight that has this trace"
    return Section("Change", (Equation(sp.Symbol(f"Delta {weight}"), (summed,)),), note)


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
