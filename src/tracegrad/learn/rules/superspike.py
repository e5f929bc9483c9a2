"""superspike: three factors filtered by the kernel of the van Rossum distance."""

from tracegrad.learn.filter import Kappa
from tracegrad.learn.influence import Block
from tracegrad.learn.needs import double_exponential_readout
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric
from tracegrad.learn.signals.own_error import OwnError


def superspike(signal: AbstractSignal | None = None) -> Rule:
    r"""SuperSpike: $\Delta W_{ij}=\eta\sum_t\tilde e_i^t\;\alpha*[\sigma'(U_i)\,(\epsilon*S_j)]^t$.

    The error $\tilde e=\alpha*(\hat S-S)$ and the product of surrogate derivative and presynaptic
    trace pass through the same double exponential $\alpha$. Here $\alpha$ is the readout: the loss
    is `van_rossum()`, the readout has `DoubleExponential` units, and for a population that itself
    shall produce the trains its weights are the identity, frozen. The last layer hears its own
    error; layers below hear it through the weights above and their surrogate derivatives (which the
    source leaves out), or by fixed feedback, `Random()` or `Uniform()` in the source. Memory
    O(batch (k + 2) p), time O(batch k^2 p) a step. The source also scales each weight's step, see
    `tg.scale_by_decaying_max`. Source: Zenke & Ganguli 2018.

    Keeps: the filters of membrane, synapse and distance.
    Drops: the reset path; all recurrence; the memory of layers above.
    """
    return Rule(
        "superspike",
        "implicit recurrence, filtered by the double exponential of the van Rossum loss",
        Block(self_weight=False, reset=False),
        Kappa(),
        Symmetric() if signal is None else OwnError(signal),
        (double_exponential_readout,),
    )
