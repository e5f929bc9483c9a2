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
from tracegrad.learn.influence import Block

Factors = dict[tuple[sp.Symbol, Any], Any]  # (where from, what is carried): its factor
Coupling = dict[sp.Symbol, tuple[Any, ...]]  # the tangent of a current, as a sum

SYNAPSE = "x_j is x_j[t] for W_ij, z_j[t-1] for V_ij, 1 for b_i"


class Site(NamedTuple):
    """A layer as a rule meets it: its neuron in full and as far as the rule differentiates it."""

    whole: Cell
    kept: Cell
    recurrent: bool
    below: bool
    hidden: bool


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
    others = sp.Sum(n.V_IK * sp.Symbol("e_kj[t-1]"), (n.K, 1, sp.Symbol("n")))
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
    note = SYNAPSE + (f"; {_names(dead)} has no trace, no weight reaches it" if dead else "")
    if any(others in map(_carried, row.dropped) for row in rows):
        note += "; the dropped sum is over neurons k other than i"
    slopes = [Equation(symbol, (x,)) for symbol, x in site.kept.slopes.items()]
    return (
        Section("Trace", tuple(rows), note),
        Section("Eligibility", (e, *slopes)),
    )


@recursion.register
def _(influence: Full, site: Site) -> tuple[Section, ...]:
    """The influence of any weight of the network on every state: nothing is dropped."""
    count = sp.Symbol("n")
    seen: list[Any] = [n.presynaptic("")]
    if site.recurrent:
        seen.append(sp.Sum(n.V_IK * sp.Symbol("G_z_k[t-1]"), (n.K, 1, count)))
    if site.below:
        seen.append(sp.Sum(sp.Symbol("W_ik") * sp.Symbol("G_below_k[t]"), (n.K, 1, count)))
    coupling = {tangent(port): tuple(seen) for port in site.whole.ports}
    renamed = {n.E_NOW: sp.Symbol("G_z[t]"), n.E_BEFORE: sp.Symbol("G_z[t-1]")} | {
        n.trace(row, when): n.trace(row, when, "G")
        for row in site.whole.rows
        for when in (n.NOW, n.BEFORE)
    }
    dead = _dead(site.whole) if not site.below else set()
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
    slopes = [Equation(symbol, (x,)) for symbol, x in site.whole.slopes.items()]
    note = (
        "of any weight of the network on neuron i; x_j only for a weight into neuron i itself: "
        f"{SYNAPSE.removeprefix('x_j is ')}; nothing is dropped"
    )
    sections = (Section("Influence", (*told, *slopes), note),)
    return sections if site.hidden else (*sections, _readout_change())


@recursion.register
def _(influence: None, site: Site) -> tuple[Section, ...]:
    """Reverse mode: the adjoints of a neuron, backward in time."""
    rows = unfolded(site.whole.rows)
    adjoint_z, adjoint_i = sp.Symbol("lambda_z[t]"), sp.Symbol("lambda_I[t]")
    if site.hidden:
        reads = sp.Symbol("W_ki") * sp.Symbol("lambda_I_k[t]")
        back: list[Any] = [sp.Sum(reads, (n.K, 1, sp.Symbol("n")))]
    else:
        back = [sp.Symbol("delta_i[t]")]
    if site.recurrent:
        heard = sp.Symbol("V_ki") * sp.Symbol("lambda_I_k[t+1]")
        back.append(sp.Sum(heard, (n.K, 1, sp.Symbol("n"))))

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
    slopes = [Equation(symbol, (x,)) for symbol, x in site.whole.slopes.items()]
    change = Equation(
        sp.Symbol("Delta W_ij"), (-n.ETA * sp.Sum(adjoint_i * n.presynaptic(""), (n.T, 1, n.T)),)
    )
    note = "of the states of neuron i, backward in time; nothing is dropped"
    if site.hidden:
        note += "; W_ki: the weights of whatever reads neuron i, the readout included"
    return (
        Section("Adjoint", (z, *states, current, *slopes), note),
        Section("Change", (change,), SYNAPSE),
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
        "F_c_s takes the place of the x_j terms in the equation of state s (z: is added to the "
        "output's) in the trace of coefficient c of neuron i; its change has the same form"
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


def _readout_change() -> Section:
    inner = sp.Sum(n.DELTA * sp.Symbol("G_z_k[t]"), (n.K, 1, sp.Symbol("n")))
    change = Equation(sp.Symbol("Delta W_ij"), (-n.ETA * sp.Sum(inner, (n.T, 1, n.T)),))
    return Section("Change", (change,), "of any weight of the network; k: the outputs")


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


def _carried(term: Any) -> Any:
    sums = term.atoms(sp.Sum)
    return sums.pop() if sums else term


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
