"""Kernel: the symmetric signal through a learned matrix, which learns from a noisy copy."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.change import summed
from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section, one_line
from tracegrad.inspect.rows import N
from tracegrad.inspect.signals.symmetric import above, above_note, read
from tracegrad.learn.influences.kernel import Kernel

OMEGA, OMEGA_BEFORE = sp.Symbol("Omega_i[t]"), sp.Symbol("Omega_i[t-1]")
SLOPE, SLOPE_BEFORE = sp.Symbol("omega_i[t]"), sp.Symbol("omega_i[t-1]")
DECAY, WRONG, A = sp.Symbol("decay_i"), sp.Symbol("wrong_k[t]"), sp.Symbol("A_ki")
NOTE = """xi: normal noise of each current, which makes zn_k of z_k in a noisy copy; gxi_i: the sum
of dz_i/dI_i*xi_i over the ports; omega: the slope of Omega in decay_i; decay_i is the logistic
function of logit_i; the changes are means over the batch"""


@signal.register
def _(kind: Kernel, place: Place, error: Any) -> tuple[Section, ...]:
    whole = Equation(sp.Symbol("c_i[t]"), (*read(place, error), *above(place, "c", "g")))
    heard = Equation(n.SIGNAL, (sp.Sum(A * sp.Symbol("c_k[t]"), (n.K, 1, N)),))
    note = "A: a learned kernel in place of the recurrence; c: the symmetric signal"
    more = above_note(place)
    sections = Section("Signal", (whole, heard), f"{note}; {more}" if more else note)
    return (sections, _lesson(kind))


def _lesson(kind: Kernel) -> Section:
    sigma = sp.Float(str(kind.noise))
    deviation = (sp.Symbol("zn_k[t]") - sp.Symbol("z_k[t]")) / sigma
    back = sp.Sum(A * WRONG, (n.K, 1, N))

    equations = (
        Equation(SLOPE, (DECAY * SLOPE_BEFORE, OMEGA_BEFORE)),
        Equation(OMEGA, (DECAY * OMEGA_BEFORE, sp.Symbol("gxi_i[t]"))),
        Equation(WRONG, (sp.Sum(A * OMEGA, (n.HERE, 1, N)), -deviation)),
        summed("A_ki", WRONG * OMEGA),
        summed("logit_i", back * SLOPE * DECAY * (1 - DECAY)),
    )
    return Section("Kernel", equations, one_line(NOTE))
