"""rtrl: Real-Time Recurrent Learning, the exact online gradient."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.full import Full
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def rtrl() -> Rule:
    r"""Exact gradient, online, of the whole network: $G^t=H^tG^{t-1}+F^t$, $dL/dw=\sum_t c^tG^t$.

    It serves neurons, layers, readout and neuron parameters alike. Memory O(batch n k p), time
    O(batch n^2 k p) a step, so for small n. Source: Williams & Zipser 1989; Zenke & Neftci 2021.

    Keeps: every path, online.
    Drops: nothing.
    """
    return Rule(
        "rtrl", "exact gradient, online, cost grows as n^4", Full(), NoFilter(), ThroughReadout()
    )
