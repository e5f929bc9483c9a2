"""eprop: eligibility propagation, the block diagonal without any explicit recurrence."""

from tracegrad.learn.filter import AbstractFilter, Kappa
from tracegrad.learn.influence import Block
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def eprop(signal: AbstractSignal | None = None, filter: AbstractFilter | None = None) -> Rule:
    r"""Eligibility propagation: $\Delta W_{ji}=-\eta\sum_t L_j^t\,\bar e_{ji}^t$.

    Signal `Symmetric()` unless `Random()` or `Adaptive()` is given; filter kappa. Memory O(batch k
    p), time O(batch k^2 p) a step. Exact for one layer without recurrence whose reset is detached.
    Source: Bellec et al. 2020.

    Keeps: a neuron's implicit memory (leak, synaptic current, adaptation).
    Drops: recurrent weights, self-weight included; the reset path; the memory of layers above.
    """
    return Rule(
        "eprop",
        "implicit recurrence only: no recurrent weights, no reset path",
        Block(self_weight=False, reset=False),
        filter or Kappa(),
        signal or Symmetric(),
    )
