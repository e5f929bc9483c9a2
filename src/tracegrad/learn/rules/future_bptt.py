"""future_bptt: every loss backpropagated through the last K steps, online."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.graph import Horizon
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def future_bptt(window: int = 10) -> Rule:
    r"""The loss of every step, differentiated through the last K steps.

    $\sum_t\sum_{d=0}^{K-1}\frac{\partial L^t}{\partial h^t}H^t\cdots H^{t-d+1}F^{t-d}$   (1)

    It learns online, from a memory of K - 1 steps. Memory O(batch K (k n + m)), time O(batch K
    p) a step. With K at least the length of the stream it equals `bptt()`. Source: F-BPTT of
    Marschall, Cho & Savin 2020, which waits K steps and then applies the same sum to the oldest
    step.

    Keeps: every path of at most K steps, whatever block it lies in.
    Drops: longer paths.
    """
    return Rule(
        "future_bptt",
        "every path of at most 10 steps unless told, online",
        Horizon(window),
        NoFilter(),
        ThroughReadout(),
    )
