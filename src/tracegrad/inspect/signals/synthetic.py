"""Synthetic: the credit that the future will give a state, as a learned linear prediction."""

from typing import Any

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.change import summed
from tracegrad.inspect.feedback import Place, signal
from tracegrad.inspect.layout import Equation, Section, one_line
from tracegrad.inspect.rows import N
from tracegrad.learn.signals.synthetic import Synthetic

NOTE = """A: a learned prediction of the credit c; a: h, the target times the loss weight, and 1; h:
the layer's states and outputs and the readout's states before the step; c_s_i: the entry of c for
state s of neuron i"""
LESSON = """q_m: dLoss/dh_m of that step's own loss, times the batch size; H_pm:
dh_p[t]/dh_m[t-1]; over the batch the mean"""
D, M, P = sp.symbols("d m p")


@signal.register
def _(kind: Synthetic, place: Place, error: Any) -> tuple[Section, ...]:
    credit = Equation(sp.Symbol("c_m[t]"), (_guess("m", n.NOW),))
    heard = [
        Equation(
            sp.Symbol(f"L_{row}_i{n.NOW}"), (sp.Symbol(f"c_{row}_i{n.NOW}") / sp.Symbol("batch"),)
        )
        for row in (*place.states, "z")
    ]
    return (Section("Signal", (credit, *heard), one_line(NOTE)), _lesson())


def _guess(of: str, when: str) -> Any:
    """A line of A times what was seen."""
    return sp.Sum(sp.Symbol(f"A_{of}d") * sp.Symbol(f"a_d{when}"), (D, 1, N))


def _lesson() -> Section:
    ahead: Any = sp.Sum(sp.Symbol("c_p[t]") * sp.Symbol("H_pm[t]"), (P, 1, N))
    wrong = Equation(
        sp.Symbol("wrong_m[t]"), (_guess("m", n.BEFORE), -sp.Symbol("q_m[t-1]"), -ahead)
    )
    change = summed("A_mb", wrong.left * sp.Symbol("a_b[t-1]"))
    return Section("Prediction", (wrong, change), one_line(LESSON))
