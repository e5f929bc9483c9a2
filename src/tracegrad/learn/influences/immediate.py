"""Immediate: what a weight does within the step, and nothing of the past."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tracegrad.learn.filter import Taps
from tracegrad.learn.influence import AbstractInfluence, Block, Cotangents, Trace
from tracegrad.learn.local import Local
from tracegrad.model.network import Circuit, Moment

_BLOCK = Block(self_weight=False)


class Immediate(AbstractInfluence):
    r"""Only the immediate influence on a neuron's own states, $G=F$, for a signal that knows more.

    A signal may ask for states by name, as the credit of a state is not that of the output alone.
    The readout keeps its own trace, which is exact. Memory O(batch k p), time O(batch k p) a step.
    """

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing is detached: there is no past that a reset could reach."""
        return circuit

    def init(
        self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray
    ) -> tuple[Trace, ...]:
        """All traces zero."""
        return _BLOCK.init(circuit, taps, batch, key)

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: tuple[Trace, ...],
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> tuple[Trace, ...]:
        """What this step adds, the traces of the hidden layers being forgotten first."""
        hidden = [
            trace._replace(
                rows=jax.tree.map(jnp.zeros_like, trace.rows),
                direct=jax.tree.map(jnp.zeros_like, trace.direct),
            )
            for trace in memory[:-1]
        ]
        return _BLOCK.push(circuit, taps, (*hidden, memory[-1]), moment, locals_)

    def pull(self, circuit: Circuit, memory: tuple[Trace, ...], cotangents: Cotangents) -> Circuit:
        """Credit of outputs and states times their immediate influence."""
        return _BLOCK.pull(circuit, memory, cotangents)
