"""kernl: Kernel RNN Learning, a learned kernel in place of the recurrent influence."""

from tracegrad.learn.filter import Kappa
from tracegrad.learn.influences.kernel import Kernel, LearnedSmoothing
from tracegrad.learn.rule import Rule


def kernl(decay: float = 0.9, noise: float = 0.01) -> Rule:
    r"""KeRNL: $\partial z_k/\partial w_{ij}\approx A_{ki}B_{ij}$, with A and the decays learned.

    $B_{ij}\leftarrow\lambda_iB_{ij}+F_{ij},\quad
    \Delta w_{ij}=-\eta\sum_t\big(\sum_kc_kA_{ki}\big)B_{ij}$

    Drops the true recurrence and a neuron's own dynamics; A ($n\times n$) and $\lambda$ stand for
    both and learn from a copy of the network with noise of size `noise` on its currents. Before
    they learn, $A=1$ and $\lambda$ = `decay`, the rule is RFLO. Filter kappa; in a stack each layer
    has a kernel and the signal is spatial. Biased. Memory O(batch (k p + n^2)), time that of a
    second network. Source (from memory): Roth, Kanitscheider & Fiete 2019, whose
    noise is on the activities; on currents it serves every neuron.
    """
    return Rule(
        "kernl",
        "a learned kernel for the recurrence, from a noisy copy",
        LearnedSmoothing(),
        Kappa(),
        Kernel(decay, noise),
    )
