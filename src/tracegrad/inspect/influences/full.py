"""Full: the influence of any weight of the network on every state; nothing is dropped."""

import sympy as sp

from tracegrad.inspect.change import FORM, at_readout, change, coefficient_traces, refuse_signal
from tracegrad.inspect.layout import Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import around, coupling, pushed
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.full import Full

G_K = sp.Symbol("G_z_k[t]")


@recursion.register
def _(influence: Full, site: Site) -> tuple[Section, ...]:
    equations = pushed(
        site.driven(site.whole.rows),
        site,
        ("G", "G"),
        coupling(site, lambda port: around(site, ("G", "G"), port)),
    )
    note = f"of any weight of the network on neuron i, nothing dropped; {reach_note(site)}"
    return (*site.drives(), Section("Influence", equations, note))


def reach_note(site: Site) -> str:
    """What x_j and G_below_k stand for."""
    note = f"{site.synapses}, and 0 for a weight that is not into neuron i"
    return f"{note}; G_below_k is that on z_k of what the layer reads" if site.below else note


@change.register
def _(influence: Full, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    refuse_signal(influence, site, heard)
    return (*readout_change(site), *coefficient_traces(site, FORM))


def readout_change(site: Site) -> tuple[Section, ...]:
    """The change of any weight, told at the readout."""
    note = "of any weight w of the network; k: outputs"
    return () if site.hidden else (Section("Change", (at_readout(G_K),), note),)
