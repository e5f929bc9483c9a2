"""Recursion: how each influence carries what a weight does, as equations with its dropped terms.

An influence is told by one function, registered for its type with `recursion.register`.
"""

from functools import singledispatch
from typing import Any, NamedTuple

import sympy as sp

from tracegrad.errors import UsageError
from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Cell, Linear, shift, simplify, tangent
from tracegrad.inspect.layout import Equation, Section
from tracegrad.learn.full import Full
from tracegrad.learn.graph import Graph
from tracegrad.learn.influence import Block

Factors = dict[tuple[sp.Symbol, Any], Any]  # (where from, what is carried): its factor
Coupling = dict[sp.Symbol, tuple[Any, ...]]  # the tangent of a current, as a sum

N = sp.Symbol("n")


class Site(NamedTuple):
    """A layer as a rule meets it: its neuron in full and as far as the rule differentiates it."""

    whole: Cell
    kept: Cell
    recurrent: bool
    biased: bool
    below: bool
    hidden: bool

    @property
    def synapses(self) -> str:
        """What x_j stands for, for each kind of weight."""
        kinds = ["x_j[t] for W_ij"]
        kinds += ["z_j[t-1] for V_ij"] if self.recurrent else []
        kinds += ["1 for b_i"] if self.biased else []
        return f"x_j is {', '.join(kinds)}"


@singledispatch
def recursion(influence: Any, site: Site) -> tuple[Section, ...]:
    """Sections that say how `influence` carries traces in one layer, up to the weight's change."""
    raise UsageError(
        f"explain has no equations for the influence {type(influence).__name__}. "
        "Register a function for it with tracegrad.inspect.recursion.recursion.register."
    )


@recursion.register
def _(influence: Block, site: Site) -> tuple[Section, ...]:
    """One trace per synapse and state; paths through other neurons are dropped."""
    own = n.V_II * n.E_BEFORE
    others = sp.Sum(n.V_IK * n.OTHER, (n.OTHERS, 1, N))
    kept, whole = {}, {}
    for port in site.kept.ports:
        seen = (n.presynaptic(port),)
        here = (*seen, own) if influence.self_weight and site.recurrent else seen
        kept[tangent(port)] = here
        whole[tangent(port)] = (*seen, own, others) if site.recurrent else seen
    dead = _dead(site.whole)
    rows = [
        _equation(n.trace(row, n.NOW), linear, site.whole.rows[row], (kept, whole, dead))
        for row, linear in site.kept.rows.items()
        if n.trace(row, n.NOW) not in dead
    ]
    e = _equation(n.E_NOW, site.kept.emit, site.whole.emit, ({}, {}, dead))
    note = site.synapses
    if any(term.has(n.OTHER) for row in rows for term in row.dropped):
        note += "; G_z_k is what the weight does to z of neuron k"
    if dead:
        note += f"; {_names(dead)} has no trace, because nothing that learns reaches it"
    return (
        Section("Trace", tuple(rows), note),
        Section("Eligibility", (e,)),
    )


@recursion.register
def _(influence: Full, site: Site) -> tuple[Section, ...]:
    """The influence of any weight of the network on every state: nothing is dropped."""
    heard: list[Any] = []
    if site.recurrent:
        heard.append(sp.Sum(n.V_IK * n.OTHER, (n.K, 1, N)))
    if site.below:
        heard.append(sp.Sum(sp.Symbol("W_ik") * sp.Symbol("G_below_k[t]"), (n.K, 1, N)))
    coupling = {tangent(port): (n.presynaptic(port), *heard) for port in site.whole.ports}
    renamed = {n.E_NOW: sp.Symbol("G_z[t]"), n.E_BEFORE: sp.Symbol("G_z[t-1]")} | {
        n.trace(row, when): n.trace(row, when, "G")
        for row in site.whole.rows
        for when in (n.NOW, n.BEFORE)
    }
    dead = _dead(site.whole)
    rows = [
        _equation(n.trace(row, n.NOW), linear, linear, (coupling, coupling, dead))
        for row, linear in site.whole.rows.items()
        if n.trace(row, n.NOW) not in dead
    ]
    z = _equation(n.E_NOW, site.whole.emit, site.whole.emit, ({}, {}, dead))
    told = [
        Equation(e.left.xreplace(renamed), tuple(t.xreplace(renamed) for t in e.terms))
        for e in (*rows, z)
    ]
    note = (
        "of any weight of the network on neuron i, nothing dropped; "
        f"{site.synapses}, and 0 for a weight that is not into neuron i"
    )
    if site.below:
        note += "; G_below_k is that on z_k of what the layer reads"
    sections = (Section("Influence", tuple(told), note),)
    return sections if site.hidden else (*sections, _readout_change())


@recursion.register
def _(influence: Graph, site: Site) -> tuple[Section, ...]:
    """Reverse mode: the adjoints of a neuron, backward in time."""
    dead = _dead(site.whole)
    rows = {
        row: linear
        for row, linear in unfolded(site.whole.rows).items()
        if n.trace(row, n.NOW) not in dead
    }
    adjoint_z, adjoint_i = sp.Symbol("lambda_z[t]"), sp.Symbol("lambda_I[t]")
    back: list[Any] = [n.DELTA_I]
    if site.hidden:
        back = [sp.Sum(sp.Symbol("W_ki") * sp.Symbol("lambda_I_k[t]"), (n.K, 1, N))]
    if site.recurrent:
        back.append(sp.Sum(sp.Symbol("V_ki") * sp.Symbol("lambda_I_k[t+1]"), (n.K, 1, N)))

    def received(source: sp.Symbol, when: str) -> list[Any]:
        factors = {row: linear[source] for row, linear in rows.items() if source in linear}
        at = later if when == n.AFTER else lambda x: x
        return [at(f) * n.trace(row, when, "lambda") for row, f in factors.items()]

    states = []
    for row in reversed(rows):
        emitted = site.whole.emit.get(n.trace(row, n.NOW), 0) * adjoint_z
        terms = [emitted, *received(n.trace(row, n.BEFORE), n.AFTER)]
        states.append(Equation(n.trace(row, n.NOW, "lambda"), _nonzero(terms)))
    z = Equation(adjoint_z, _nonzero([*back, *received(n.E_BEFORE, n.AFTER)]))
    current = Equation(adjoint_i, _nonzero(received(tangent(""), n.NOW)))
    changes = [_change("W_ij", adjoint_i * n.presynaptic(""))]
    for name, symbol in site.whole.coefficients.items():
        parts = received(shift(name), n.NOW)
        parts.append(site.whole.emit.get(shift(name), 0) * adjoint_z)
        changes.append(_change(symbol.name, sum(parts)))
    note = "of the states of neuron i, backward in time; nothing is dropped"
    if site.hidden:
        note += "; W_ki: the weights of whatever reads neuron i, the readout included"
    return (
        Section("Adjoint", (z, *states, current), note),
        Section("Change", tuple(changes), f"{site.synapses}; W_ij stands for all of them"),
    )


def coefficient_traces(site: Site) -> tuple[Section, ...]:
    """What stands in place of the presynaptic term in the traces of each coefficient."""
    equations = []
    for name, symbol in site.kept.coefficients.items():
        places = [(row, linear.get(shift(name), 0)) for row, linear in site.kept.rows.items()]
        for row, factor in [*places, ("z", site.kept.emit.get(shift(name), 0))]:
            if factor != 0:
                equations.append(Equation(forced(symbol, row), (factor,)))
    if not equations:
        return ()
    note = (
        "a coefficient c of neuron i has traces of the same form, with F_c_s in place of the x_j "
        "terms in that of state s, and F_c_z added to that of the output"
    )
    return (Section("Coefficients", tuple(equations), note),)


def forced(coefficient: sp.Symbol, row: str) -> sp.Symbol:
    """What a coefficient does to a state within a step."""
    return sp.Symbol(f"F_{coefficient.name}_{row}{n.NOW}")


def unfolded(rows: dict[str, Linear]) -> dict[str, Linear]:
    """The rows with new traces put in: in terms of the step before alone."""
    done: dict[str, Linear] = {}
    for row, linear in rows.items():
        total: Linear = {}
        for symbol, factor in linear.items():
            inner = done.get(symbol.name.removeprefix("eps_").removesuffix(n.NOW))
            parts = inner if inner is not None and symbol.name.endswith(n.NOW) else {symbol: 1}
            for source, more in parts.items():
                total[source] = total.get(source, 0) + factor * more
        done[row] = {s: simplify(f) for s, f in total.items()}
    return done


def later(expression: Any) -> Any:
    """An expression one step on."""
    moved = {n.BEFORE: n.NOW, n.NOW: n.AFTER}

    def one(symbol: sp.Symbol) -> sp.Symbol:
        for old, new in moved.items():
            if symbol.name.endswith(old):
                return sp.Symbol(symbol.name.removesuffix(old) + new)
        return symbol

    whole = sp.sympify(expression)
    return whole.xreplace({s: one(s) for s in whole.free_symbols})


def _change(weight: str, product: Any) -> Equation:
    return Equation(sp.Symbol(f"Delta {weight}"), (-n.ETA * sp.Sum(product, (n.T, 1, N)),))


def _readout_change() -> Section:
    inner = sp.Sum(n.DELTA * sp.Symbol("G_z_k[t]"), (n.K, 1, N))
    return Section("Change", (_change("w", inner),), "of any weight w of the network; k: outputs")


def _factors(linear: Linear, coupling: Coupling, dead: set) -> Factors:
    found: Factors = {}
    for symbol, factor in linear.items():
        carried = coupling.get(symbol)
        if carried is not None:
            found |= {(symbol, part): factor for part in carried}
        elif symbol not in dead and not symbol.name.startswith("dc_"):
            found[symbol, symbol] = factor
    return found


def _equation(left: sp.Symbol, linear: Linear, exact: Linear, terms: tuple) -> Equation:
    """A row as the rule has it, and what it lacks of the exact row."""
    kept, whole, dead = terms
    ours, theirs = _factors(linear, kept, dead), _factors(exact, whole, dead)
    own = sp.Symbol(left.name.replace(n.NOW, n.BEFORE))

    def rank(key: tuple[sp.Symbol, Any]) -> int:
        name = key[0].name
        places = (key[0] == own, name.endswith(n.BEFORE) and name.startswith("eps_"),
                  name.startswith("eps_"), name.startswith("dI_"), True)  # fmt: skip
        return places.index(True)

    lacking = {key: simplify(f - ours.get(key, 0)) for key, f in theirs.items()}
    surplus = {key: -f for key, f in ours.items() if key not in theirs}
    dropped = {key: f for key, f in (lacking | surplus).items() if f != 0}
    return Equation(
        left,
        tuple(ours[key] * key[1] for key in sorted(ours, key=rank)),
        tuple(dropped[key] * key[1] for key in sorted(dropped, key=rank)),
    )


def _dead(cell: Cell) -> set[sp.Symbol]:
    """Traces (and their symbols) of states that no weight or coefficient ever reaches."""
    alive: set[sp.Symbol] = set()
    sources = {tangent(port) for port in cell.ports} | {shift(c) for c in cell.coefficients}
    rows = {n.trace(row, n.NOW): linear for row, linear in cell.rows.items()}
    rows[n.E_NOW] = cell.emit
    for _ in rows:  # each pass can only add
        for symbol, linear in rows.items():
            if set(linear) & (sources | alive):
                alive |= {symbol, sp.Symbol(symbol.name.replace(n.NOW, n.BEFORE))}
    return {
        n.trace(row, when)
        for row in cell.rows
        for when in (n.NOW, n.BEFORE)
        if n.trace(row, when) not in alive
    }


def _names(dead: set[sp.Symbol]) -> str:
    return ", ".join(sorted({s.name.removeprefix("eps_").split("[")[0] for s in dead}))


def _nonzero(terms: list[Any]) -> tuple[Any, ...]:
    return tuple(term for term in terms if term != 0)
