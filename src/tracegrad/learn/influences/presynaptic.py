"""Presynaptic influence: one trace a line, for neurons of one state with one shared leak."""

import jax

from tracegrad.learn.influence import Sources
from tracegrad.learn.influences.factored import AbstractFactored, Factors, implicit
from tracegrad.learn.local import Local
from tracegrad.model.network import Circuit


class Presynaptic(AbstractFactored):
    r"""$\hat x^t_i=\lambda\hat x^{t-1}_i+x^t_i,\quad
    e^t_{ji}=\mathrm{emit}_j\,\mathrm{drive}_j\,\hat x^t_i$   (1)

    The trace of a synapse then depends on its line only: memory O(batch (m + n)), time O(batch p).
    Right for neurons of one state whose leak $\lambda$ is one number and whose drive is constant
    (`needs.one_shared_leak`); recurrent weights and the reset are dropped. Coefficients of neurons
    have a trace each, O(batch n).
    """

    def prepare(self, circuit: Circuit) -> Circuit:
        """Detach the resets."""
        return circuit.detach_reset()

    def advance(self, old: Factors, here: Local, seen: Sources) -> Factors:
        """Equation (1)."""
        ((row, own),) = here.own.items()
        leak = own[row][:, :1]  # one number: the same for every neuron and sample
        pre = jax.tree.map(lambda trace, x: leak * trace + x, old.pre, seen)
        return old._replace(pre=pre, post=here.drive, shift=implicit(old, here))
