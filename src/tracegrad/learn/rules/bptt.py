"""bptt: backpropagation through time, the exact offline reference."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.graph import Graph
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def bptt() -> Rule:
    r"""Exact gradient of a whole sequence by reverse mode.

    $\lambda^t=\partial L^t/\partial h^t+\lambda^{t+1}H^{t+1},\quad dL/dw=\sum_t\lambda^tF^t$   (1)

    Memory O(batch T k n), time O(batch p) a step. Offline: it updates once per sequence. Source:
    Werbos 1990.

    Keeps: every path of a whole sequence.
    Drops: nothing.
    """
    return Rule(
        "bptt",
        "exact gradient, offline, memory grows with time",
        Graph(),
        NoFilter(),
        ThroughReadout(),
    )
