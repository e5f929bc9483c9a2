"""LocalReadout: a fixed random readout of each layer, with a loss of its own."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section
from tracegrad.inspect.rows import N
from tracegrad.inspect.signals.symmetric import OUTPUTS
from tracegrad.learn.signals.local_readout import LocalReadout

WEIGHT = sp.Symbol("W_local_ki")


@signal.register
def _(kind: LocalReadout, place: Place, error: Any) -> tuple[Section, ...]:
    read = sp.Sum(WEIGHT * sp.Symbol("z_i[t]"), (n.HERE, 1, N))
    local = Equation(sp.Symbol("y_local_k[t]"), (read, sp.Symbol("b_local_k")))
    heard = sp.Sum(WEIGHT * sp.Symbol("delta_local_k[t]"), (n.K, 1, OUTPUTS))
    note = (
        "W_local, b_local: fixed and random; delta_local: dLoss/dy_local for the same target "
        "[dropped: the readout's error, and all that other layers do]"
    )
    return (
        Section("Local readout", (local,)),
        Section("Signal", (Equation(n.SIGNAL, (heard,)),), note),
    )
