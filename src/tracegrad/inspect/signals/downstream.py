"""Downstream: reverse mode through the recent past of the layers above."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.signals.symmetric import above, gains, read
from tracegrad.learn.signals.downstream import Downstream

LEAK, RHO, PAST = sp.Symbol("alpha"), sp.Symbol("rho[t]"), sp.Symbol("rho[t-1]")


@signal.register
def _(kind: Downstream, place: Place, error: Any) -> tuple[Section, ...]:
    heard = Equation(n.SIGNAL, (*read(place, error), *above(place, "L", "gbar")))
    if not place.above:
        return (Section("Signal", (heard,)),)
    (port,) = place.above
    now, before = (n.at_port("gbar_above", port, "k", when) for when in (n.NOW, n.BEFORE))
    gain = n.at_port("g_above", port, "k", n.NOW)
    weight = Equation(RHO, (LEAK * PAST, sp.Integer(1)))
    mean = Equation(now, (LEAK * PAST / RHO * before, gain / RHO))
    note = (
        f"{gains(place)} in the layer above; gbar: its mean over the past, weighted by the leak "
        "alpha of the layers [dropped: what of the past is not in this mean]"
    )
    return (Section("Past", (weight, mean)), Section("Signal", (heard,), note))
