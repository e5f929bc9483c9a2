"""etlp: event-based three-factor local plasticity, with a projected target as third factor."""

from tracegrad.learn.filter import NoFilter
from tracegrad.learn.influence import Block
from tracegrad.learn.rule import Rule
from tracegrad.learn.signals.target import Target


def etlp() -> Rule:
    r"""ETLP: $\Delta W_{ij}=-\eta\,(B y^*)_i\,\psi(U_i)\,\hat x_j$ at the events of the label.

    $\hat x$ is the presynaptic trace. An event is a step whose loss weight is not zero; its size is
    the step's share. Memory O(batch k p), time O(batch k^2 p) a step: the traces are a synapse's
    own, so that leaks may differ from neuron to neuron; with one leak for all, each is the
    presynaptic trace of the source, times $\psi$, which needs O(m + n) only. No approximation of a
    gradient: the readout alone follows the loss. Source: Quintana, Perez-Pena, Galindo, Neftci,
    Chicca & Khacef 2024.

    Keeps: a neuron's implicit memory.
    Drops: the reset path; all explicit recurrence; the error, in whose place is the target.
    """
    return Rule(
        "etlp",
        "presynaptic trace, surrogate derivative, and the label through fixed random weights",
        Block(self_weight=False, reset=False),
        NoFilter(),
        Target(),
    )
