"""Rows: a neuron's linearised step as equations of what is carried, with what a rule leaves out."""

from collections.abc import Callable
from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Linear, shift, simplify, tangent
from tracegrad.inspect.layout import Equation
from tracegrad.inspect.site import Site

Factors = dict[tuple[sp.Symbol, Any], Any]  # (where from, what is carried): its factor
Parts = dict[sp.Symbol, tuple[Any, ...]]  # a tangent of the step, as a sum
Letters = tuple[str, str]  # how what is carried is called before a step, and after it
Dead = set[sp.Symbol]

N = sp.Symbol("n")


def coupling(site: Site, heard: Callable[[str], tuple[Any, ...]]) -> Parts:
    """What each current is made of: what the synapse sees, and what is heard through each port."""
    parts = {tangent(port): heard(port) for port in site.whole.ports}
    own = tangent(site.port)
    return parts | {own: (n.X_J, *parts.get(own, ()))}


def over_neurons(
    head: str, port: str, carried: sp.Symbol, index: sp.Symbol, ports: tuple[str, ...]
) -> tuple[Any, ...]:
    """The sum over neurons of a port's weights times what they carry, if it is one of `ports`."""
    weight = n.at_port(head, port, "ik")
    return (sp.Sum(weight * carried, (index, 1, N)),) if port in ports else ()


def around(site: Site, letters: Letters, port: str) -> tuple[Any, ...]:
    """What is carried of other neurons into a port: of the layer itself, and of that below."""
    before, now = letters
    below = site.feedforward if site.below else ()
    return (
        *over_neurons("V", port, sp.Symbol(f"{before}_z_k{n.BEFORE}"), n.K, site.recurrent),
        *over_neurons("W", port, sp.Symbol(f"{now}_below_k{n.NOW}"), n.K, below),
    )


def pushed(
    rows: dict[str, Linear], site: Site, letters: Letters, parts: Parts, dead: Dead | None = None
) -> tuple[Equation, ...]:
    """The whole of every row and of the output, for what is called `letters` before and now.

    `parts` says what stands for the tangents of currents and coefficients; others are zero. `dead`
    are traces that are zero, unless told those that nothing that learns reaches.
    """
    before, now = letters
    dead = dead_traces(site) if dead is None else dead
    names = {n.E_BEFORE: n.trace("z", n.BEFORE, before)}
    for row in rows:
        names[n.trace(row, n.BEFORE)] = n.trace(row, n.BEFORE, before)
        names[n.trace(row, n.NOW)] = n.trace(row, n.NOW, now)

    def whole(row: str, linear: Linear) -> Equation:
        kept = {s: f for s, f in linear.items() if s not in dead}
        left = n.E_NOW if row == "z" else n.trace(row, n.NOW)
        terms = equation(left, kept, kept, (parts, parts, dead)).terms
        return Equation(n.trace(row, n.NOW, now), tuple(t.xreplace(names) for t in terms))

    alive = [row for row in rows if n.trace(row, n.NOW) not in dead]
    return (*(whole(row, rows[row]) for row in alive), whole("z", site.whole.emit))


def equation(left: sp.Symbol, linear: Linear, exact: Linear, terms: tuple) -> Equation:
    """A row as the rule has it, and what it lacks of the exact row.

    `terms`: what tangents stand for as kept and in full, and traces that are always zero.
    """
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


def _factors(linear: Linear, parts: Parts, dead: Dead) -> Factors:
    found: Factors = {}
    for symbol, factor in linear.items():
        carried = parts.get(symbol)
        if carried is not None:
            found |= {(symbol, part): factor for part in carried}
        elif symbol not in dead and not symbol.name.startswith(("dc_", "dI_")):
            found[symbol, symbol] = factor
    return found


def dead_traces(site: Site) -> Dead:
    """Traces (and their symbols) of states that no weight or coefficient ever reaches."""
    alive: Dead = set()
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


def nonzero(terms: list[Any]) -> tuple[Any, ...]:
    """The terms that are there."""
    return tuple(term for term in terms if term != 0)
