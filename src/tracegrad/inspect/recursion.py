"""Recursion: how each influence carries what a weight does, as equations with its dropped terms.

An influence is told by one function, registered for its type with `recursion.register`.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import sympy as sp

from tracegrad.errors import UsageError
from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Linear, shift, simplify, tangent
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.site import Site
from tracegrad.learn.graph import Graph
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.full import Full

Factors = dict[tuple[sp.Symbol, Any], Any]  # (where from, what is carried): its factor
Coupling = dict[sp.Symbol, tuple[Any, ...]]  # the tangent of a current, as a sum

N = sp.Symbol("n")


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

    def itself(port: str) -> tuple[Any, ...]:
        return (n.at_port("V", port, "ii") * n.E_BEFORE,) if port in site.recurrent else ()

    def heard(port: str) -> tuple[Any, ...]:
        return (*itself(port), *_over_neurons("V", port, n.OTHER, n.OTHERS, site.recurrent))

    kept = _coupling(site, itself if influence.self_weight else lambda port: ())
    whole, exact = _coupling(site, heard), site.driven(site.whole.rows)
    dead = _dead(site)
    rows = [
        _equation(n.trace(row, n.NOW), linear, exact[row], (kept, whole, dead))
        for row, linear in site.driven(site.kept.rows).items()
        if n.trace(row, n.NOW) not in dead
    ]
    e = _equation(n.E_NOW, site.kept.emit, site.whole.emit, ({}, {}, dead))
    note = f"a trace for each port {site.port}: {site.synapses}" if site.port else site.synapses
    if any(term.has(n.OTHER) for row in rows for term in row.dropped):
        note += "; G_z_k is what the weight does to z of neuron k"
    if dead:
        note += f"; {_names(dead)} has no trace, because nothing that learns reaches it"
    return (
        *site.drives(),
        Section("Trace", tuple(rows), note),
        Section("Eligibility", (e,)),
    )


@recursion.register
def _(influence: Full, site: Site) -> tuple[Section, ...]:
    """The influence of any weight of the network on every state: nothing is dropped."""
    below = site.feedforward if site.below else ()

    def heard(port: str) -> tuple[Any, ...]:
        return (
            *_over_neurons("V", port, n.OTHER, n.K, site.recurrent),
            *_over_neurons("W", port, sp.Symbol("G_below_k[t]"), n.K, below),
        )

    coupling = _coupling(site, heard)
    renamed = {n.E_NOW: sp.Symbol("G_z[t]"), n.E_BEFORE: sp.Symbol("G_z[t-1]")} | {
        n.trace(row, when): n.trace(row, when, "G")
        for row in site.whole.rows
        for when in (n.NOW, n.BEFORE)
    }
    dead = _dead(site)
    rows = [
        _equation(n.trace(row, n.NOW), linear, linear, (coupling, coupling, dead))
        for row, linear in site.driven(site.whole.rows).items()
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
    sections = (*site.drives(), Section("Influence", tuple(told), note))
    return sections if site.hidden else (*sections, _readout_change())


@recursion.register
def _(influence: Graph, site: Site) -> tuple[Section, ...]:
    """Reverse mode: the adjoints of a neuron, backward in time."""
    dead = _dead(site)
    rows = {
        row: linear
        for row, linear in unfolded(site.whole.rows).items()
        if n.trace(row, n.NOW) not in dead
    }
    adjoint_z = sp.Symbol("lambda_z[t]")
    back: list[Any] = [] if site.hidden else [n.DELTA_I]
    back += [_from_reader("W", port, n.NOW) for port in site.readers]
    back += [_from_reader("V", port, n.AFTER) for port in site.recurrent]

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
    currents = [
        Equation(_adjoint(port), _nonzero(received(tangent(port), n.NOW))) for port in site.ports
    ]
    weight = n.at_port("W", site.port, "ij")
    changes = [_change(weight.name, _adjoint(site.port) * n.X_J)]
    for name, symbol in site.whole.coefficients.items():
        parts = received(shift(name), n.NOW)
        parts.append(site.whole.emit.get(shift(name), 0) * adjoint_z)
        changes.append(_change(symbol.name, sum(parts)))
    note = "of the states of neuron i, backward in time; nothing is dropped"
    if site.hidden:
        read = ", ".join(n.at_port("W", port, "ki").name for port in site.readers)
        note += f"; {read}: the weights of whatever reads neuron i, the readout included"
    return (
        Section("Adjoint", (z, *states, *currents), note),
        Section("Change", tuple(changes), f"{site.synapses}; {weight} stands for all of them"),
    )


def _coupling(site: Site, heard: Callable[[str], tuple[Any, ...]]) -> Coupling:
    """What each current is made of: what the synapse sees, and what is heard through each port."""
    coupling = {tangent(port): heard(port) for port in site.whole.ports}
    own = tangent(site.port)
    return coupling | {own: (n.X_J, *coupling.get(own, ()))}


def _over_neurons(
    head: str, port: str, carried: sp.Symbol, index: sp.Symbol, ports: tuple[str, ...]
) -> tuple[Any, ...]:
    """The sum over neurons of a port's weights times what they carry, if it is one of `ports`."""
    weight = n.at_port(head, port, "ik")
    return (sp.Sum(weight * carried, (index, 1, N)),) if port in ports else ()


def _adjoint(port: str) -> sp.Symbol:
    return n.at_port("lambda_I", port, "", n.NOW)


def _from_reader(head: str, port: str, when: str) -> Any:
    """What comes back to a neuron through the port of those that read it."""
    adjoint = n.at_port("lambda_I", port, "k", when)
    return sp.Sum(n.at_port(head, port, "ki") * adjoint, (n.K, 1, N))


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


def _dead(site: Site) -> set[sp.Symbol]:
    """Traces (and their symbols) of states that no weight or coefficient ever reaches."""
    alive: set[sp.Symbol] = set()
    cell = site.whole
    sources = {tangent(port) for port in site.ports} | {shift(c) for c in cell.coefficients}
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
