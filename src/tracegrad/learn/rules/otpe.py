"""otpe: online training with postsynaptic estimates, one downstream leak added to the trace."""

from tracegrad.learn.downstream_leak import DownstreamLeak
from tracegrad.learn.influence import Block
from tracegrad.learn.needs import no_recurrence, one_leak
from tracegrad.learn.rule import Rule
from tracegrad.learn.signals.downstream import Downstream


def otpe() -> Rule:
    r"""OTPE: $\nabla W=g\odot\hat R$, with a trace that has passed one leak downstream.

    $E\leftarrow\lambda E+\partial u/\partial\theta,\quad\hat R\leftarrow\lambda\hat R+\psi E,\quad
    \bar g\leftarrow r\bar g+(1-r)\psi,\ r=\frac{\lambda\rho}{\lambda\rho+1}$   (1)

    $E$ is updated once a step; what goes down is $W^\top(g\odot\bar g)$. Exact for the last layer
    with a leaky readout and a detached reset. For feed-forward layers of one state with one leak,
    the readout's included. Memory O(batch 2 p), time O(batch p) a step. Source: Summe, Schaefer &
    Joshi 2023.

    Keeps: the leak, and that of one stage above.
    Drops: the reset path; memory further up, of which $\bar g$ is an estimate.
    """
    return Rule(
        "otpe",
        "trace filtered by one downstream leak, averaged gains downwards; feed-forward only",
        Block(self_weight=False, reset=False),
        DownstreamLeak(),
        Downstream(),
        (no_recurrence, one_leak),
    )
