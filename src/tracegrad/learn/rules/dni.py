"""dni: decoupled neural interfaces, a learned linear model of the credit to come."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.immediate import Immediate
from tracegrad.learn.rule import Rule
from tracegrad.learn.signals.synthetic import Synthetic


def dni() -> Rule:
    r"""Synthetic gradients: $\hat g=\sum_t\hat c^tF^t$ with learned credit $\hat c^t=A\tilde a^t$.

    Looks ahead instead of back, with a linear predictor of $c^t+\hat c^{t+1}H^{t+1}$ that learns by
    its own error. Serves one layer of any neuron with any readout and neuron parameters. Biased as
    long as the credit is not linear in the state and the predictor not learned. Memory O(batch N (N
    + o)), N = n (k + 1) + o, time O(batch (N^2 + p)) a step. Source (from memory): Jaderberg et al.
    2017; the linear form as public code of Marschall et al. 2020 has it, there for a rate network
    and a memoryless readout.

    Keeps: what a weight does within the step.
    Drops: all influence of the past; the credit to come is predicted.
    """
    return Rule(
        "dni",
        "no influence of the past; a learned model of the credit to come",
        Immediate(),
        NoFilter(),
        Synthetic(),
    )
