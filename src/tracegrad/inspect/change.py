"""Change: how signal and trace make the change of a weight, and what coefficients have in place.

An influence whose trace is not one of each synapse says so by a function registered for its type
with `change.register`.
"""

from functools import singledispatch
from typing import Any

import sympy as sp

from tracegrad.errors import UsageError
from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import shift
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.rows import N, Parts, pushed
from tracegrad.inspect.site import Site

FORM = "a coefficient c of neuron i has traces of the same form, with F_c_s in place of the x_j "
FORM += "terms in that of state s, and F_c_z added to that of the output"
CARRIED = "C_s is what a coefficient c has done to s; F_c_s is 0 where it is not listed"


@singledispatch
def change(
    influence: Any, site: Site, met: sp.Symbol, heard: tuple[sp.Symbol, ...]
) -> tuple[Section, ...]:
    """Sections after the signal: the weight change, and what there is for coefficients.

    `met` is the trace that the signal meets, `heard` the signal: L_i, or one for each state; none
    where the influence reaches the readout itself.
    """
    return (*trace_change(site, product(met, heard)), *coefficient_traces(site, FORM))


@singledispatch
def seen_by(influence: Any, section: Section) -> Section:
    """A filter's equations in the words of an influence, where its trace has another name."""
    return section


def product(met: sp.Symbol, heard: tuple[sp.Symbol, ...]) -> Any:
    """Signal times the trace it meets; the credit of a state meets the trace of that state."""
    return sum(signal * _meets(met, signal) for signal in heard)


def _meets(met: sp.Symbol, signal: sp.Symbol) -> sp.Symbol:
    _, _, row = signal.name.removesuffix(f"_i{n.NOW}").partition("_")
    if signal in (n.SIGNAL, n.DELTA_I) or not row:
        return met
    return n.E_NOW if row == "z" else n.trace(row, n.NOW)


def trace_change(site: Site, meeting: Any) -> tuple[Section, ...]:
    """The change of every weight of one kind of trace, if anything meets it."""
    if meeting == 0:
        return ()
    weight = n.at_port("W", site.port, "ij")
    note = f"{weight} stands for every weight that has this trace"
    return (Section("Change", (summed(weight.name, meeting),), note),)


def summed(weight: str, meeting: Any) -> Equation:
    """The change of a weight: minus the rate times a sum over time."""
    return Equation(sp.Symbol(f"Delta {weight}"), (-n.ETA * sp.Sum(meeting, (n.T, 1, N)),))


def at_readout(carried: sp.Symbol, factor: Any = 1, weight: str = "w") -> Equation:
    """The change of any weight, from what is carried of it to the readout's outputs."""
    return summed(weight, factor * sp.Sum(n.DELTA * carried, (n.K, 1, N)))


def refuse_signal(influence: Any, site: Site, heard: tuple[sp.Symbol, ...]) -> None:
    """An influence on the readout itself would count a path twice with a signal besides."""
    if site.hidden and heard:
        raise UsageError(
            f"explain has no equations for {type(influence).__name__} with a signal to hidden "
            "layers, got one. It reaches the readout itself: use ThroughReadout()."
        )


def coefficient_traces(site: Site, note: str) -> tuple[Section, ...]:
    """What stands in place of the presynaptic term in the traces of each coefficient."""
    equations = []
    for name, symbol in site.kept.coefficients.items():
        places = [(row, linear.get(shift(name), 0)) for row, linear in site.kept.rows.items()]
        for row, factor in [*places, ("z", site.kept.emit.get(shift(name), 0))]:
            if factor != 0:
                equations.append(Equation(forced(symbol, row), (factor,)))
    return (Section("Coefficients", tuple(equations), note),) if equations else ()


def coefficient_rows(site: Site, parts: Parts, own: Any = 1) -> tuple[Section, ...]:
    """Traces of any coefficient in full, where they are not of the form of a weight's.

    `parts` is what currents bring, `own` is 1 for the neuron that has the coefficient.
    """
    told = []
    for row in pushed(site.kept.rows, site._replace(whole=site.kept), ("C", "C"), parts):
        name = row.left.name.removeprefix("C_").removesuffix(n.NOW)
        told.append(Equation(row.left, (*row.terms, own * forced(sp.Symbol("c"), name))))
    listed = coefficient_traces(site, CARRIED)
    return (*listed, Section("Coefficient trace", tuple(told))) if listed else ()


def forced(coefficient: sp.Symbol, row: str) -> sp.Symbol:
    """What a coefficient does to a state within a step."""
    return sp.Symbol(f"F_{coefficient.name}_{row}{n.NOW}")
