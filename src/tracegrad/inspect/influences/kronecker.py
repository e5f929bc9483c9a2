"""Kronecker: the influence of a layer's weights as one product of two random factors."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.cell import tangent
from tracegrad.inspect.change import (
    at_readout,
    change,
    coefficient_rows,
    product,
    refuse_signal,
    summed,
)
from tracegrad.inspect.influences.block import block
from tracegrad.inspect.influences.factored import within
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.rows import around, pushed
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.kronecker import Kronecker

KH = ("K", "KH")
P_0, P_1 = sp.Symbol("p_0[t]"), sp.Symbol("p_1[t]")
NU_0, NU_1 = sp.Symbol("nu_0[t]"), sp.Symbol("nu_1[t]")
COLUMN = "of the current into neuron u of any layer on neuron i: K what is carried, KH that one "
COLUMN += "step on, J what the current does within the step; u_i is 1 for that current, else 0"
SIGNS = (
    "nu_0, nu_1: random signs at every step for each layer; norm_x: the Euclidean length of x for "
)
SIGNS += "each sample, of all that belongs to the weights of u's layer; a product of which one "
SIGNS += "factor is zero is left out"
PRODUCT = "unbiased: K times A_j is the whole influence in the mean over the signs"


@recursion.register
def _(influence: Kronecker, site: Site) -> tuple[Section, ...]:
    ports, rows = site.whole.ports, site.whole.rows
    moved = pushed(rows, site, KH, {tangent(p): around(site, KH, p) for p in ports})
    parts = {tangent(p): (_own(p), *_within(site, p)) for p in ports}
    immediate = pushed(within(rows), site, ("", "J"), parts)
    told = (
        Section("Moved", (*moved, *immediate), COLUMN),
        Section("Scale", _scales(), SIGNS),
        Section("Product", (*map(_factor, moved, immediate), *_seen(site)), PRODUCT),
    )
    return told if site.hidden else (*block(site, site.whole.rows), *told)


def _own(port: str) -> sp.Symbol:
    return n.at_port("u", port, "i")


def _within(site: Site, port: str) -> tuple[Any, ...]:
    """What comes from the layer below within the step."""
    return around(site._replace(recurrent=()), ("", "J"), port)


def _scales() -> tuple[Equation, ...]:
    norm_kh, norm_a, norm_j, norm_x = sp.symbols("norm_KH[t] norm_A[t-1] norm_J[t] norm_x[t]")
    old, new = sp.sqrt(norm_kh / norm_a), sp.sqrt(norm_j / norm_x)
    return Equation(P_0, (old,)), Equation(P_1, (new,))


def _factor(moved: Equation, immediate: Equation) -> Equation:
    left = sp.Symbol(moved.left.name.replace("KH", "K", 1))
    return Equation(left, (NU_0 * moved.left / P_0, NU_1 * immediate.left / P_1))


def _seen(site: Site) -> tuple[Equation, ...]:
    """The factor of the presynaptic side; the readout's own weights have their exact trace."""
    if not site.hidden:
        return ()
    now, before = sp.Symbol("A_j[t]"), sp.Symbol("A_j[t-1]")
    return (Equation(now, (NU_0 * P_0 * before, NU_1 * P_1 * n.X_J)),)


@change.register
def _(influence: Kronecker, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    refuse_signal(influence, site, heard)
    parts = {tangent(port): around(site, ("C", "C"), port) for port in site.whole.ports}
    rows = coefficient_rows(site, parts, sp.Symbol("u_i"))
    if site.hidden:
        return rows
    weight = n.at_port("W", site.port, "uj").name
    told = (
        at_readout(sp.Symbol("K_z_k[t]"), sp.Symbol("A_j[t]"), weight),
        at_readout(sp.Symbol("C_z_k[t]"), 1, "c_u"),
        summed(n.at_port("W", site.port, "ij").name, product(n.E_NOW, (n.DELTA_I,))),
    )
    note = "of a weight and a coefficient of a layer, and of the readout's own weights; k: outputs"
    return (Section("Change", told, note), *rows)
