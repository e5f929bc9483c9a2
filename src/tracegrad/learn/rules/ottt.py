"""ottt: Online Training Through Time, one presynaptic trace a line."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influences.presynaptic import Presynaptic
from tracegrad.learn.needs import one_shared_leak
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def ottt(signal: AbstractSignal | None = None) -> Rule:
    r"""$\hat a^t=\lambda\hat a^{t-1}+x^t,\quad\nabla W=\sum_t(g^t\odot\psi^t)\otimes\hat a^t$.

    $g^t$ is the spatial signal of the present step. Recurrent weights learn from the trace of
    $z^{t-1}$. Refuses neurons of several states or leaks. Memory O(batch (m + n)), time O(batch p)
    a step. Equals `ostl(recurrence=False)` for the neurons it serves with a detached reset; exact
    for one layer without recurrence, with a detached reset under a memoryless readout. Source: Xiao
    et al. 2022.

    Keeps: the one leak $\lambda$ of a layer.
    Drops: the reset path; recurrent weights; what layers above and the readout remember.
    """
    return Rule(
        "ottt",
        "one presynaptic trace a line, for neurons of one state and one leak",
        Presynaptic(),
        NoFilter(),
        signal or Symmetric(),
        needs=(one_shared_leak,),
    )
