"""Forward: the slope along one random direction of all parameters."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import shift, tangent
from tracegrad.inspect.change import at_readout, change, refuse_signal
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import N, around, pushed
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.forward import Forward


@recursion.register
def _(influence: Forward, site: Site) -> tuple[Section, ...]:
    currents = {port: n.at_port("dot_I", port, "", n.NOW) for port in site.whole.ports}
    parts = {tangent(port): (current,) for port, current in currents.items()}
    for name, symbol in site.whole.coefficients.items():
        parts[shift(name)] = (sp.Symbol(f"nu_{symbol.name}"),)
    driven = [
        Equation(current, (*_drawn(site, port), *around(site, ("dot", "dot"), port)))
        for port, current in currents.items()
    ]
    rows = pushed(site.whole.rows, site, ("dot", "dot"), parts)
    note = (
        "nu_w: a random sign for every parameter w, drawn once a stream; dot_s: what a move of all "
        "parameters along nu does to s, nothing dropped"
    )
    if site.below:
        note += "; dot_below_k: to z_k of what the layer reads"
    return (Section("Tangent", (*driven, *rows), note),)


def _drawn(site: Site, port: str) -> tuple[Any, ...]:
    """What the signs of a port's own weights bring."""

    def summed(head: str, seen: str) -> Any:
        return sp.Sum(n.at_port(f"nu_{head}", port, "ij") * sp.Symbol(seen), (n.J, 1, N))

    terms = [summed("W", "x_j[t]")] if port in site.feedforward else []
    terms += [n.at_port("nu_b", port, "i")] if port in site.feedforward and site.biased else []
    return (*terms, *([summed("V", "z_j[t-1]")] if port in site.recurrent else []))


@change.register
def _(influence: Forward, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    refuse_signal(influence, site, heard)
    if site.hidden:
        return ()
    told = at_readout(sp.Symbol("dot_z_k[t]"), sp.Symbol("nu_w"))
    note = "of any parameter w of the network, the readout's too; k: outputs; unbiased"
    return (Section("Change", (told,), note),)
