"""rflo: Random Feedback Local Online learning of rate networks."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influence import Block
from tracegrad.learn.needs import rate_units
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Random


def rflo(signal: AbstractSignal | None = None) -> Rule:
    r"""$p_{ij}\leftarrow(1-\tfrac1\tau)p_{ij}+\tfrac1\tau\phi'(u_i)\,\hat a_j,\quad
    \Delta w_{ij}\propto[B\delta]_i\,p_{ij}$   (1)

    for rate units $a_i\leftarrow(1-\tfrac1\tau)a_i+\tfrac1\tau\phi(u_i)$, e-prop on rate units.
    Signal `Random()` unless given. Refuses neurons that spike. Memory O(batch p), time O(batch p) a
    step. Source: Murray 2019.

    Keeps: a rate unit's leak.
    Drops: recurrent weights, self-weight included; what layers above and the readout remember.
    """
    return Rule(
        "rflo",
        "a rate unit's leak and random feedback",
        Block(self_weight=False, reset=False),
        NoFilter(),
        signal or Random(),
        needs=(rate_units,),
    )
