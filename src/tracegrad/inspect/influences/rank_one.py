"""RankOne: the influence as the product of one random state and one random parameter vector."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import Linear, shift, tangent
from tracegrad.inspect.change import (
    FORM,
    at_readout,
    change,
    coefficient_traces,
    product,
    refuse_signal,
    summed,
)
from tracegrad.inspect.influences.block import block
from tracegrad.inspect.influences.graph import adjoint, from_reader
from tracegrad.inspect.layout import Equation, Section, one_line
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import around, nonzero, pushed, unfolded
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.rank_one import RankOne

RHO_0, RHO_1 = sp.Symbol("rho_0[t]"), sp.Symbol("rho_1[t]")


@recursion.register
def _(influence: RankOne, site: Site) -> tuple[Section, ...]:
    letters = ("stilde", "shat")
    parts = {tangent(port): around(site, letters, port) for port in site.whole.ports}
    moved = pushed(site.whole.rows, site, letters, parts, set())
    told = (
        Section("Moved", moved, "stilde: the random state; shat: that state, one step on"),
        *_noise(site),
        Section("Scale", _scales(), one_line(SCALE)),
        Section("Product", (*map(_state, moved), *_parameters(site)), one_line(FACTORS)),
    )
    return told if site.hidden else (*block(site, site.whole.rows), *told)


SCALE = """norm_x: the Euclidean length of all of x in the network, for each sample; a product of
which one factor is zero is left out"""
NOISE = """nu_s: a random sign at every step, for every state s and output z; mu, m: the slope of
the sum of nu_s*s within the step, m_w in a parameter w, with x_j for each weight as in a trace"""
FACTORS = """q_w: the random parameter vector; unbiased: its product with stilde is the whole
influence in the mean over the signs"""


def _noise(site: Site) -> tuple[Section, ...]:
    """The noise in a state and what it tells of each current, back within the step."""
    rows = unfolded(site.whole.rows)
    back = [from_reader("mu", "W", port, n.NOW) for port in site.readers]
    z = Equation(n.trace("z", n.NOW, "mu"), (n.trace("z", n.NOW, "nu"), *back))
    states = [
        Equation(
            n.trace(row, n.NOW, "mu"),
            nonzero([n.trace(row, n.NOW, "nu"), _emitted(site, n.trace(row, n.NOW))]),
        )
        for row in rows
    ]
    currents = [
        Equation(adjoint("mu", port), nonzero(_received(rows, tangent(port))))
        for port in site.whole.ports
    ]
    slopes = [Equation(sp.Symbol(f"m_{w}{n.NOW}"), (m,)) for w, m in _slopes(site).items()]
    return (Section("Noise", (z, *states, *currents, *slopes), one_line(NOISE)),)


def _emitted(site: Site, source: sp.Symbol) -> Any:
    return site.whole.emit.get(source, 0) * n.trace("z", n.NOW, "mu")


def _received(rows: dict[str, Linear], source: sp.Symbol) -> list[Any]:
    return [linear.get(source, 0) * n.trace(row, n.NOW, "mu") for row, linear in rows.items()]


def _scales() -> tuple[Equation, ...]:
    norm_q, norm_shat, norm_m, norm_nu = sp.symbols("norm_q[t-1] norm_shat[t] norm_m[t] norm_nu[t]")
    old, new = sp.sqrt(norm_q / norm_shat), sp.sqrt(norm_m / norm_nu)
    return Equation(RHO_0, (old,)), Equation(RHO_1, (new,))


def _state(moved: Equation) -> Equation:
    name = moved.left.name.removeprefix("shat_")
    left = sp.Symbol(f"stilde_{name}")
    return Equation(left, (RHO_0 * moved.left, RHO_1 * sp.Symbol(f"nu_{name}")))


def _parameters(site: Site) -> list[Equation]:
    """The parameter factor of a layer; the readout's own parameters have their exact trace."""

    def at(letter: str, name: str, when: str) -> sp.Symbol:
        return sp.Symbol(f"{letter}_{name}{when}")

    return [
        Equation(at("q", w, n.NOW), (at("q", w, n.BEFORE) / RHO_0, at("m", w, n.NOW) / RHO_1))
        for w in _slopes(site)
    ]


def _slopes(site: Site) -> dict[str, Any]:
    """What the noise tells of each parameter of a layer within the step."""
    if not site.hidden:
        return {}
    rows = unfolded(site.whole.rows)
    slopes: dict[str, Any] = {
        n.at_port("W", site.port, "ij").name: adjoint("mu", site.port) * n.X_J
    }
    for name, symbol in site.whole.coefficients.items():
        parts = [*_received(rows, shift(name)), _emitted(site, shift(name))]
        slopes[symbol.name] = sum(parts)
    return slopes


@change.register
def _(influence: RankOne, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    refuse_signal(influence, site, heard)
    if site.hidden:
        return ()
    told = at_readout(sp.Symbol("stilde_z_k[t]"), sp.Symbol("q_w[t]"))
    own = summed(n.at_port("W", site.port, "ij").name, product(n.E_NOW, (n.DELTA_I,)))
    note = "of any parameter w of a layer, and of the readout's own weights; k: outputs"
    return (Section("Change", (told, own), note), *coefficient_traces(site, FORM))
