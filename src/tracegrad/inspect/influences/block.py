"""Block: one trace per synapse and state; paths through other neurons are dropped."""

from typing import Any

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Linear
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import coupling, dead_traces, equation, over_neurons
from tracegrad.inspect.site import Site
from tracegrad.learn.influence import Block

Kept = dict[str, Linear]


@recursion.register
def _(influence: Block, site: Site) -> tuple[Section, ...]:
    return block(site, site.kept.rows, influence.self_weight)


def block(site: Site, kept: Kept, self_weight: bool = False) -> tuple[Section, ...]:
    """Traces of a neuron's own memory as far as `kept`, and their eligibility."""
    rows = traces(site, kept, self_weight)
    return (
        *site.drives(),
        Section("Trace", rows, trace_note(site, rows)),
        Section("Eligibility", (eligibility(site),)),
    )


def traces(site: Site, kept: Kept, self_weight: bool = False) -> tuple[Equation, ...]:
    """The rows that are kept, beside the exact ones."""

    def itself(port: str) -> tuple[Any, ...]:
        return (n.at_port("V", port, "ii") * n.E_BEFORE,) if port in site.recurrent else ()

    def heard(port: str) -> tuple[Any, ...]:
        return (*itself(port), *over_neurons("V", port, n.OTHER, n.OTHERS, site.recurrent))

    ours = coupling(site, itself if self_weight else lambda port: ())
    whole, exact = coupling(site, heard), site.driven(site.whole.rows)
    dead = dead_traces(site)
    return tuple(
        equation(n.trace(row, n.NOW), linear, exact[row], (ours, whole, dead))
        for row, linear in site.driven(kept).items()
        if n.trace(row, n.NOW) not in dead
    )


def trace_note(site: Site, rows: tuple[Equation, ...]) -> str:
    """What x_j and other symbols of the traces stand for."""
    note = f"a trace for each port {site.port}: {site.synapses}" if site.port else site.synapses
    if any(term.has(n.OTHER) for row in rows for term in row.dropped):
        note += "; G_z_k is what the weight does to z of neuron k"
    dead = sorted({s.name.removeprefix("eps_").split("[")[0] for s in dead_traces(site)})
    if dead:
        note += f"; {', '.join(dead)} has no trace, because nothing that learns reaches it"
    return note


def eligibility(site: Site) -> Equation:
    """The trace of the output, from those of the states."""
    return equation(n.E_NOW, site.kept.emit, site.whole.emit, ({}, {}, dead_traces(site)))
