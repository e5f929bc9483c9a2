"""Leaving: the symmetric signal as far as it leaves the pairs of units that an influence keeps."""

from typing import Any

import sympy as sp

from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.signals.symmetric import above, above_note, read
from tracegrad.learn.influences.masked import Leaving


@signal.register
def _(kind: Leaving, place: Place, error: Any) -> tuple[Section, ...]:
    whole = Equation(sp.Symbol("c_i[t]"), (*read(place, error), *above(place, "c", "g")))
    leaves, out = 1 - sp.Symbol("M_above_ku"), 1 - sp.Symbol("M_o_ku")
    told = Equation(
        sp.Symbol("L_iu[t]"), (*read(place, error, out), *above(place, "c", "g", leaves))
    )
    note = (
        "for a weight of unit u: without connections to units that the influence itself carries "
        "it to; c: the symmetric signal, whole; M_o, M_above: M of an output and of the layer above"
    )
    more = above_note(place)
    return (Section("Signal", (whole, told), f"{note}; {more}" if more else note),)
