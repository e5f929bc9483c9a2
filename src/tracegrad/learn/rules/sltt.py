"""sltt: spatial learning through time, with no temporal memory at all."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.instant import Instant
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def sltt(signal: AbstractSignal | None = None) -> Rule:
    r"""Spatial gradient of each step: $\nabla W=\sum_t (g^t\odot\psi^t)\otimes x^t$.

    $g^t$ is the signal of the present step. A neuron whose current does not reach its output within
    the step cannot learn by it, and is refused. Memory O(batch (m + n)), time O(batch p) a step.
    Exact where nothing has a memory. Source: Meng et al. 2023.

    Keeps: what a weight does within the step.
    Drops: all that a neuron or the readout remembers.
    """
    return Rule(
        "sltt",
        "spatial gradient of each step, no memory of the past",
        Instant(),
        NoFilter(),
        signal or Symmetric(),
    )
