"""kf_rtrl: Kronecker-factored RTRL, an influence matrix that is one random Kronecker product."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.kronecker import Kronecker
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import ThroughReadout


def kf_rtrl() -> Rule:
    r"""Unbiased RTRL with a Kronecker product for each layer: $\hat g=\sum_t(c^tB^t)\otimes A^t$.

    Less noisy than `uoro`, because the network's own Jacobian acts on B undisturbed. Published for
    one layer of rate units; it holds wherever a layer's weights act through currents, so it serves
    any depth, neuron, port and readout (leaky ones too: B reaches the readout). Memory O(batch n^2
    k), time O(batch n p) a step. Source: Mujika, Meier & Steger 2018 (the equations as public code
    has them; the paper's own numbering not checked).

    Keeps: every path, in the mean over two random signs a step.
    Drops: of a single draw all but one Kronecker product a layer.
    """
    return Rule(
        "kf_rtrl",
        "influence as one Kronecker product with random signs: unbiased",
        Kronecker(),
        NoFilter(),
        ThroughReadout(),
    )
