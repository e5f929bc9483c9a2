"""Masked: the influence of any weight on the units that a pattern keeps for it."""

from functools import singledispatch
from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.change import FORM, change, coefficient_traces, seen_by, summed
from tracegrad.inspect.influences.full import reach_note, readout_change
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import N, around, coupling, pushed
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.masked import Masked
from tracegrad.learn.influences.pattern import ByLayer, Consecutive, Labelled, Reachable

M = sp.Symbol("M_iu")


@recursion.register
def _(influence: Masked, site: Site) -> tuple[Section, ...]:
    whole = pushed(
        site.driven(site.whole.rows),
        site,
        ("G", "G"),
        coupling(site, lambda port: around(site, ("G", "G"), port)),
    )
    note = (
        f"of any weight of unit u on neuron i; M_iu is 1 for {kept(influence.pattern)}, else 0; "
        f"{reach_note(site)}"
    )
    return (*site.drives(), Section("Influence", tuple(map(_masked, whole)), note))


def _masked(equation: Equation) -> Equation:
    """What comes from other units, as far as it is kept; one's own past was kept or is zero."""

    def through(factor: Any) -> tuple[Any, ...]:
        return tuple(factor * term for term in equation.terms if term.has(sp.Sum))

    own = tuple(term for term in equation.terms if not term.has(sp.Sum))
    return Equation(equation.left, (*own, *through(M)), through(1 - M))


@singledispatch
def kept(pattern: Any) -> str:
    """Which pairs of a unit i and a unit u a pattern keeps, in words."""
    return f"pairs that {type(pattern).__name__} keeps"


@kept.register
def _(pattern: ByLayer) -> str:
    return "i and u of one layer"


@kept.register
def _(pattern: Consecutive) -> str:
    return "i = u" if pattern.size == 1 else f"i and u of one {pattern.size} neurons in a row"


@kept.register
def _(pattern: Labelled) -> str:
    return "i and u of one group"


@kept.register
def _(pattern: Reachable) -> str:
    further = f" and each i that at most {pattern.order - 1} connections lead to from u"
    return "i = u" if pattern.order == 1 else f"i = u{further}"


@change.register
def _(influence: Masked, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    return (*_share(site, met, heard), *coefficient_traces(site, FORM))


def _share(site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    if not site.hidden or not heard:
        return readout_change(site)
    letter = "G" if met == n.E_NOW else "Gbar"
    signal = sp.Symbol(heard[0].name.replace("_i", "_k"))
    inner = sp.Sum(signal * sp.Symbol(f"{letter}_z_k{n.NOW}"), (n.K, 1, N))
    note = (
        "what this layer adds to the change of any weight w of unit u; so do all, the readout too"
    )
    return (Section("Change", (summed("w", inner),), note),)


@seen_by.register
def _(influence: Masked, section: Section) -> Section:
    names = {
        sp.Symbol(f"{old}_ij{when}"): sp.Symbol(f"{new}_z{when}")
        for old, new in (("e", "G"), ("ebar", "Gbar"))
        for when in (n.NOW, n.BEFORE)
    }
    told = [
        Equation(e.left.xreplace(names), tuple(term.xreplace(names) for term in e.terms))
        for e in section.equations
    ]
    return section._replace(equations=tuple(told))
