"""uoro: Unbiased Online Recurrent Optimisation, RTRL with an influence matrix of rank one."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.rank_one import RankOne
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def uoro() -> Rule:
    r"""RTRL of rank one: $\hat g=\sum_t(c^t\cdot\tilde s^t)\,\tilde\theta^t$.

    Unbiased, $E[\tilde s\,\tilde\theta]=G$; each draw is of rank one, and its variance grows with
    the number of states and with the length of the memory. The state is that of the whole network,
    so it serves any depth, neuron, readout and neuron parameter. Memory O(batch p), time O(batch p)
    a step. Source: Tallec & Ollivier 2018 (the equations as public code has them; the paper's own
    numbering not checked).

    Keeps: every path, in the mean over random signs $\nu$.
    Drops: of a single draw all but rank one.
    """
    return Rule(
        "uoro",
        "influence of rank one with random signs: unbiased, cheap, noisy",
        RankOne(),
        NoFilter(),
        ThroughReadout(),
    )
