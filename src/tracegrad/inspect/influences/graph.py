"""Graph and Horizon: reverse mode, the adjoints of a neuron backward in time, and their window."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import shift, tangent
from tracegrad.inspect.change import change, summed
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import N, dead_traces, nonzero, unfolded
from tracegrad.inspect.site import Site
from tracegrad.learn.graph import Graph, Horizon


@recursion.register
def _(influence: Graph, site: Site) -> tuple[Section, ...]:
    """Every path of a block, or of each window."""
    if influence.window is None:
        return _adjoints(site, "; nothing is dropped")
    window = Section(
        "Window",
        (),
        f"backpropagation through time in windows of {influence.window} steps that do not "
        "overlap: lambda[t+1] is 0 at the last step of each [dropped: the paths across a border]",
    )
    return (window, *_adjoints(site, ""))


@recursion.register
def _(influence: Horizon, site: Site) -> tuple[Section, ...]:
    """The paths of the last steps, for the loss of every step."""
    window = Section(
        "Window",
        (),
        f"backpropagation through time from the loss of each step over the {influence.steps} steps "
        "up to it: each loss has adjoints of its own, with lambda[t+1] and every other delta 0 "
        "[dropped: the longer paths]",
    )
    return (window, *_adjoints(site, ""))


@change.register(Graph | Horizon)
def _(influence: Graph | Horizon, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    return ()  # told with the adjoints


def _adjoints(site: Site, kept: str) -> tuple[Section, ...]:
    dead = dead_traces(site)
    rows = {
        row: linear
        for row, linear in unfolded(site.whole.rows).items()
        if n.trace(row, n.NOW) not in dead
    }
    adjoint_z = sp.Symbol("lambda_z[t]")
    back: list[Any] = [] if site.hidden else [n.DELTA_I]
    back += [from_reader("lambda", "W", port, n.NOW) for port in site.readers]
    back += [from_reader("lambda", "V", port, n.AFTER) for port in site.recurrent]

    def received(source: sp.Symbol, when: str) -> list[Any]:
        factors = {row: linear[source] for row, linear in rows.items() if source in linear}
        at = later if when == n.AFTER else lambda x: x
        return [at(f) * n.trace(row, when, "lambda") for row, f in factors.items()]

    states = []
    for row in reversed(rows):
        emitted = site.whole.emit.get(n.trace(row, n.NOW), 0) * adjoint_z
        terms = [emitted, *received(n.trace(row, n.BEFORE), n.AFTER)]
        states.append(Equation(n.trace(row, n.NOW, "lambda"), nonzero(terms)))
    z = Equation(adjoint_z, nonzero([*back, *received(n.E_BEFORE, n.AFTER)]))
    currents = [
        Equation(adjoint("lambda", port), nonzero(received(tangent(port), n.NOW)))
        for port in site.ports
    ]
    weight = n.at_port("W", site.port, "ij")
    changes = [summed(weight.name, adjoint("lambda", site.port) * n.X_J)]
    for name, symbol in site.whole.coefficients.items():
        parts = received(shift(name), n.NOW)
        parts.append(site.whole.emit.get(shift(name), 0) * adjoint_z)
        changes.append(summed(symbol.name, sum(parts)))
    note = f"of the states of neuron i, backward in time{kept}"
    if site.hidden:
        read = ", ".join(n.at_port("W", port, "ki").name for port in site.readers)
        note += f"; {read}: the weights of whatever reads neuron i, the readout included"
    return (
        Section("Adjoint", (z, *states, *currents), note),
        Section("Change", tuple(changes), f"{site.synapses}; {weight} stands for all of them"),
    )


def adjoint(letter: str, port: str) -> sp.Symbol:
    """What the loss, or a noise, does through the current of a port."""
    return n.at_port(f"{letter}_I", port, "", n.NOW)


def from_reader(letter: str, head: str, port: str, when: str) -> Any:
    """What comes back to a neuron through the port of those that read it."""
    back = n.at_port(f"{letter}_I", port, "k", when)
    return sp.Sum(n.at_port(head, port, "ki") * back, (n.K, 1, N))


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
