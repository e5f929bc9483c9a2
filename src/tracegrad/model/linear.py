"""The contract of a linear neuron: a cascade of leaky integrators, fit to be a readout."""

from abc import abstractmethod

from jaxtyping import Array

from tracegrad.model.neuron import AbstractNeuron, Scalars

Cascade = tuple[tuple[Array | float, Array | float], ...]


class AbstractLinear(AbstractNeuron):
    r"""A neuron that never spikes and whose output is linear in its past currents.

    $q_0^t=I^t,\quad q_k^t=\lambda_kq_k^{t-1}+g_kq_{k-1}^t,\quad z^t=q_K^t$   (1)

    What reads nothing back and is linear can change places with a sum over synapses: the trace of
    a synapse, sent through the same cascade, holds the whole influence of that synapse on a
    readout. Each state is one $q_k$.
    """

    @abstractmethod
    def cascade(self, c: Scalars) -> Cascade:
        r"""The pairs $(\lambda_k,g_k)$, first to last; none for a unit without memory."""
