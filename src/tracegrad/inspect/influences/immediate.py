"""Immediate, and LearnedSmoothing: what a weight does within the step, as it is or smoothed."""

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.influences.block import block, eligibility, trace_note, traces
from tracegrad.inspect.influences.factored import within
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.immediate import Immediate
from tracegrad.learn.influences.kernel import LearnedSmoothing


@recursion.register
def _(influence: Immediate, site: Site) -> tuple[Section, ...]:
    return block(site, within(site.whole.rows) if site.hidden else site.whole.rows)


@recursion.register
def _(influence: LearnedSmoothing, site: Site) -> tuple[Section, ...]:
    if not site.hidden:
        return block(site, site.whole.rows)
    rows, now = traces(site, within(site.whole.rows)), eligibility(site)
    smoothed = Equation(n.E_NOW, (sp.Symbol("decay_i") * n.E_BEFORE, *now.terms))
    note = "smoothed with the neuron's learned decay_i, in place of all memory"
    return (
        *site.drives(),
        Section("Trace", rows, trace_note(site, rows)),
        Section("Eligibility", (smoothed,), note),
    )
