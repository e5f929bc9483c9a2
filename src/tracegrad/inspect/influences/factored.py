"""Factored influences: a factor of each end of a synapse in place of its trace."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Linear
from tracegrad.inspect.change import change, coefficient_rows, product, trace_change
from tracegrad.inspect.influences.block import block, eligibility, trace_note, traces
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import coupling, pushed
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.instant import Instant
from tracegrad.learn.influences.presynaptic import Presynaptic
from tracegrad.learn.influences.smoothed import Smoothed

PRE, POST = "xhat_j", "f"


@recursion.register
def _(influence: Instant, site: Site) -> tuple[Section, ...]:
    return block(site, within(site.whole.rows))


def within(rows: dict[str, Linear]) -> dict[str, Linear]:
    """What a step itself does, without what was before it."""
    return {
        row: {s: f for s, f in linear.items() if not s.name.endswith(n.BEFORE)}
        for row, linear in rows.items()
    }


@recursion.register
def _(influence: Presynaptic, site: Site) -> tuple[Section, ...]:
    (row,) = site.kept.rows
    leak = site.kept.rows[row].get(n.trace(row, n.BEFORE), sp.Integer(0))
    (trace,) = traces(site, site.kept.rows)
    (driven,) = traces(site, within(site.kept.rows))
    pre = _pre(leak)
    post = tuple(term.xreplace({n.X_J: pre.left}) for term in driven.terms)
    told = Equation(trace.left, post, trace.dropped)
    note = f"one of each line, because all neurons share the leak; {trace_note(site, (trace,))}"
    return (
        *site.drives(),
        Section("Trace", (pre, told), note),
        Section("Eligibility", (eligibility(site),)),
    )


@recursion.register
def _(influence: Smoothed, site: Site) -> tuple[Section, ...]:
    decay, mass = sp.Float(str(influence.decay)), sp.Symbol("mass[t]")
    past, share = sp.Symbol("mass[t-1]"), sp.Symbol("past[t]")
    weights = (
        Equation(mass, (decay * past, 1 - decay)),
        Equation(share, (decay * past / mass,)),
    )
    *rows, _ = pushed(
        site.driven(site.whole.rows), site, (POST, POST), coupling(site, lambda port: ())
    )
    factors = [Equation(e.left, tuple(_smooth(term, share) for term in e.terms)) for e in rows]
    pre = _pre(decay)
    exact = {e.left: e.dropped for e in traces(site, site.whole.rows)}
    made = []
    for factor in factors:
        left = sp.Symbol(factor.left.name.replace(POST, "eps", 1))
        made.append(Equation(left, (factor.left * pre.left,), exact[left]))
    emitted = n.trace("z", n.NOW, POST)
    names = {e.left: f.left for e, f in zip(made, factors, strict=True)}
    output = Equation(emitted, tuple(t.xreplace(names) for t in eligibility(site).terms))
    note = (
        "a smoothed factor of each end; past[t]: the share of the past [dropped: what one product "
        "of two means cannot tell of a sum of products]"
    )
    rows = traces(site, site.whole.rows)
    return (
        *site.drives(),
        Section("Factors", (*weights, pre, *factors, output), note),
        Section("Trace", tuple(made), trace_note(site, rows)),
        Section("Eligibility", (eligibility(site),)),
    )


def _pre(leak: Any) -> Equation:
    now, before = sp.Symbol(PRE + n.NOW), sp.Symbol(PRE + n.BEFORE)
    return Equation(now, (leak * before, n.X_J) if leak != 0 else (n.X_J,))


def _smooth(term: Any, share: sp.Symbol) -> Any:
    """A term of the step before, of this step's drive, or of another new factor."""
    if term.has(n.X_J):
        return (1 - share) * term.xreplace({n.X_J: sp.Integer(1)})
    before = any(s.name.startswith(f"{POST}_") and n.BEFORE in s.name for s in term.free_symbols)
    return share * term if before else term


@change.register(Presynaptic | Smoothed)
def _(influence: Any, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    return (*trace_change(site, product(met, heard)), *coefficient_rows(site, {}))
