"""d_rtrl: RTRL with the diagonal of a neuron's implicit memory."""

from tracegrad.learn.filter import AbstractFilter, NoFilter
from tracegrad.learn.influence import Block
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def d_rtrl(filter: AbstractFilter | None = None, signal: AbstractSignal | None = None) -> Rule:
    r"""Diagonal RTRL: $\epsilon\leftarrow D\,\epsilon+\mathrm{diag}(D_f)\otimes x$.

    $D$ is a neuron's own block with its reset path; the recurrent weights are removed before
    differentiating, self-weight included, so it is not SnAp-1. No filter unless given. Memory
    O(batch k p), time O(batch k^2 p) a step. Exact for one layer without recurrence under a
    memoryless readout. Equals OSTL without H. Source: Wang et al. 2024 (BrainScale).

    Keeps: a neuron's own states and its reset path.
    Drops: recurrent weights, self-weight included; what layers above and the readout remember.
    """
    return Rule(
        "d_rtrl",
        "diagonal of the implicit recurrence, with the reset path",
        Block(self_weight=False, reset=True),
        filter or NoFilter(),
        signal or Symmetric(),
    )
