"""Symmetric, and ThroughReadout: reverse mode through the stack at one step, or no signal."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section
from tracegrad.learn.signal import Symmetric, ThroughReadout

ABOVE, OUTPUTS = sp.Symbol("n_above"), sp.Symbol("n_out")


@signal.register
def _(kind: Symmetric, place: Place, error: Any) -> tuple[Section, ...]:
    told = Equation(n.SIGNAL, (*read(place, error), *above(place, "L", "g")))
    return (Section("Signal", (told,), above_note(place)),)


def read(place: Place, error: Any, kept: Any = 1) -> tuple[Any, ...]:
    """What comes from the readout, if it reads the layer."""
    weighed = kept * sp.Symbol("W_o_ki") * error
    return (sp.Sum(weighed, (n.K, 1, OUTPUTS)),) if place.read else ()


def above(place: Place, letter: str, gain: str, kept: Any = 1) -> tuple[Any, ...]:
    """What comes from the layer above, through each of its ports."""
    credit = kept * sp.Symbol(f"{letter}_above_k[t]")
    terms = []
    for port in place.above:
        through = n.at_port("W_above", port, "ki") * n.at_port(f"{gain}_above", port, "k", n.NOW)
        terms.append(sp.Sum(through * credit, (n.K, 1, ABOVE)))
    return tuple(terms)


def gains(place: Place) -> str:
    """What g stands for."""
    return ", ".join(
        f"{n.at_port('g_above', port, 'k')}: dz_k/d{n.at_port('I', port, 'k')}"
        for port in place.above
    )


def above_note(place: Place) -> str:
    """What g stands for, and what a signal of one step drops."""
    if not place.above:
        return ""
    return (
        f"{gains(place)} in the layer above at this step [dropped: the memory of the layers above]"
    )


@signal.register
def _(kind: ThroughReadout, place: Place, error: Any) -> tuple[Section, ...]:
    return ()
