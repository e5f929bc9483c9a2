"""kernl: Kernel RNN Learning, a learned kernel in place of the recurrent influence."""

from tracegrad.learn.filter import Kappa
from tracegrad.learn.influences.kernel import Kernel, LearnedSmoothing
from tracegrad.learn.rule import Rule


def kernl(decay: float = 0.9, noise: float = 0.01) -> Rule:
    r"""KeRNL: $\partial z_k/\partial w_{ij}\approx A_{ki}B_{ij}$, with A and the decays learned.

    $B_{ij}\leftarrow\lambda_iB_{ij}+F_{ij},\quad
    \Delta w_{ij}=-\eta\sum_t\big(\sum_kc_kA_{ki}\big)B_{ij}$

    A ($n\times n$) and $\lambda$ stand for what is dropped and learn from a copy of the network
    with noise of size `noise` on its currents. Before they learn, $A=1$ and $\lambda$ = `decay`,
    the rule is RFLO. Filter kappa; in a stack each layer has a kernel and the signal is spatial.
    Biased. Memory O(batch (k p + n^2)), time that of a second network. Source (from memory): Roth,
    Kanitscheider & Fiete 2019, whose noise is on the activities; on currents it serves every
    neuron.

    Keeps: what a weight does within the step, smoothed by a learned decay.
    Drops: recurrence and a neuron's own dynamics, for which a learned kernel stands.
    """
    return Rule(
        "kernl",
        "a learned kernel for the recurrence, from a noisy copy",
        LearnedSmoothing(),
        Kappa(),
        Kernel(decay, noise),
    )
