"""es_d_rtrl: diagonal RTRL with exponentially smoothed factors."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.smoothed import Smoothed
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def es_d_rtrl(decay: float = 0.9, signal: AbstractSignal | None = None) -> Rule:
    r"""Diagonal RTRL of rank one: $\epsilon=\epsilon_f\otimes\epsilon_x$, both smoothed by `decay`.

    $\epsilon_x\leftarrow\alpha\epsilon_x+x,\quad
    \epsilon_f\leftarrow\alpha D\epsilon_f+(1-\alpha)D_f$, corrected by $1/(1-\alpha^t)$   (1)

    The mean is over about $(1+\alpha)/(1-\alpha)$ steps. The readout's own weights are smoothed
    too. Memory O(batch (m + k n)), time O(batch (p + k^2 n)) a step. `decay=0` is `sltt()`. Source:
    Wang et al. 2024 (BrainScale).

    Keeps: of what `d_rtrl` keeps a smoothed mean for each end of a synapse.
    Drops: what `d_rtrl` drops, and what tells a synapse from the product of its ends.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay must be at least 0 and below 1, got {decay}. 0.9 is a start.")
    return Rule(
        "es_d_rtrl",
        "diagonal RTRL with two smoothed factors in place of a trace per synapse",
        Smoothed(decay),
        NoFilter(),
        signal or Symmetric(),
    )
