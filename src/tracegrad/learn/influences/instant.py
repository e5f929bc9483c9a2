"""Instant influence: what a weight does within this step, and no memory."""

from tracegrad.learn.influence import Sources
from tracegrad.learn.influences.factored import AbstractFactored, Factors
from tracegrad.learn.local import Local
from tracegrad.model.network import Circuit


class Instant(AbstractFactored):
    r"""$e^t_{ji}=\sum_{row}\mathrm{emit}_{row}\,\mathrm{drive}_{row}\,x_i$: the forcing alone.

    All state before the step is a constant. Memory O(batch (m + n)) within the step, time
    O(batch p).
    """

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing to detach: no derivative of the past is used."""
        return circuit

    def advance(self, old: Factors, here: Local, seen: Sources) -> Factors:
        """The present only."""
        shift = {row: {c: here.shift[c][row] for c in here.shift} for row in here.own}
        return old._replace(pre=seen, post=here.drive, shift=shift)
