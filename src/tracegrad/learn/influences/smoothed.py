"""Smoothed influence: the trace of a synapse as a product of two smoothed factors."""

import jax

from tracegrad.learn.influence import Sources
from tracegrad.learn.influences.factored import AbstractFactored, Factors, carried, implicit
from tracegrad.learn.local import Local
from tracegrad.model.adjustable import adjustable
from tracegrad.model.network import Circuit


class Smoothed(AbstractFactored):
    r"""$\epsilon_x\leftarrow\alpha\epsilon_x+x,\quad
    \epsilon_f\leftarrow\alpha D\epsilon_f+(1-\alpha)D_f,\quad
    \epsilon=\frac{\epsilon_f\otimes\epsilon_x}{1-\alpha^t}$   (1)

    $D$ is a neuron's own block with its reset path (`own` and `echo`), $D_f$ its drive, $t$ the
    number of steps that exist. Every synapse of a neuron so has one smoothed memory in place of
    its own: a rank-one approximation. Memory O(batch (m + k n)), time O(batch (p + k^2 n)).
    Coefficients of neurons have a trace each, not smoothed.
    """

    decay: float = adjustable(
        0.9, "what both factors of a trace keep of themselves", "per step", high=1.0
    )

    def prepare(self, circuit: Circuit) -> Circuit:
        """The reset path is kept."""
        return circuit

    def advance(self, old: Factors, here: Local, seen: Sources) -> Factors:
        """Equation (1), with the correction in the postsynaptic factor."""
        alpha = self.decay
        mass = alpha * old.mass + (1.0 - alpha)
        pre = jax.tree.map(lambda trace, x: alpha * trace + x, old.pre, seen)
        post = {
            row: {
                port: (alpha * old.mass * trace + (1.0 - alpha) * here.drive[row][port]) / mass
                for port, trace in traces.items()
            }
            for row, traces in carried(old, here, old.post).items()
        }
        return old._replace(pre=pre, post=post, shift=implicit(old, here), mass=mass)
