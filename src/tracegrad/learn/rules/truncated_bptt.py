"""truncated_bptt: backpropagation through windows of K steps."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.graph import Graph
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def truncated_bptt(window: int = 10) -> Rule:
    r"""Reverse mode through windows of K steps that do not overlap.

    $\sum_t\sum_{s=K\lfloor t/K\rfloor}^{t}
    \frac{\partial L^t}{\partial h^t}H^t\cdots H^{s+1}F^s$, steps counted from 0   (1)

    Credit so reaches 0 to K - 1 steps back, unevenly. Windows are counted from the start of a
    block, and the weights change after whole windows. Memory O(batch K k n), time O(batch p) a
    step. Exact where nothing lasts longer than a window. Source: Williams & Peng 1990.

    Keeps: every path inside a window.
    Drops: paths that cross a window's border.
    """
    return Rule(
        "truncated_bptt",
        "exact within windows of 10 steps unless told, no credit across their borders",
        Graph(window),
        NoFilter(),
        ThroughReadout(),
    )
