"""block_diagonal: RTRL with one Jacobian block per neuron."""

from tracegrad.learn.filter import AbstractFilter, Kappa
from tracegrad.learn.influence import Block
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def block_diagonal(
    signal: AbstractSignal | None = None, filter: AbstractFilter | None = None
) -> Rule:
    r"""RTRL with H replaced by its block diagonal, one block per neuron (strict).

    Signal symmetric and filter kappa unless given. Memory O(batch k p), time O(batch k^2 p) a step.
    Exact for one layer without recurrence. Source: Zenke & Neftci 2021.

    Keeps: a neuron's own states, its reset path and its self-weight $V_{jj}$.
    Drops: paths through other neurons ($V_{jk}$, $k\ne j$); the memory of layers above.
    """
    return Rule(
        "block_diagonal",
        "one Jacobian block per neuron, with self-weight and reset path",
        Block(self_weight=True, reset=True),
        filter or Kappa(),
        signal or Symmetric(),
    )
