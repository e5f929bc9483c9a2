"""decolle: every layer learns from a local loss, with no credit between layers."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influence import Block
from tracegrad.learn.rule import Rule
from tracegrad.learn.signals.local_readout import LocalReadout


def decolle(amplitude: float = 1.0) -> Rule:
    r"""DECOLLE: $\Delta W^l_{ij}=-\eta\,(G^{l\top}\delta^l)_i\,\sigma'(U_i^l)\,P_j^l$.

    $\delta^l$ is the error of the fixed random readout $r^l=G^lz^l+g^l$ of this layer; $P$ the
    presynaptic activity through the neuron's linear filters. No filter, for the local readouts have
    no memory. The network's own readout learns from its own error. Memory O(batch k p), where the
    source needs O(m) a layer because all its neurons share their filters; time O(batch (k^2 p + n
    o)) a step. Exact for feed-forward layers with detached resets, each under its own local loss.
    Source: Kaiser, Mostafa & Neftci 2020.

    Keeps: a neuron's implicit memory.
    Drops: the reset path; all recurrence; every path through another layer.
    """
    return Rule(
        "decolle",
        "a fixed random readout and a local loss for each layer, layers decoupled",
        Block(self_weight=False, reset=False),
        NoFilter(),
        LocalReadout(amplitude),
    )
