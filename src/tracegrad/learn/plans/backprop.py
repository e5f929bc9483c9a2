"""backprop: reverse mode through a block, for the offline reference rules."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.graph import Graph
from tracegrad.learn.loss import sequence_loss
from tracegrad.learn.plans.plan import (
    AbstractPlan,
    Data,
    Outcome,
    Stream,
    count_steps,
    mean_rates,
    summed,
)
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, State, hold
from tracegrad.model.over_time import over_time


class Backprop(AbstractPlan):
    """Differentiate the block's loss by reverse mode; nothing reaches further back than the block.

    With a `Graph(window)` the block is cut every `window` steps. Memory O(batch T k n), time
    O(batch p) a step.
    """

    @property
    def graph(self) -> Graph:
        """The part of the graph that the rule keeps."""
        assert isinstance(self.rule.influence, Graph)
        return self.rule.influence

    def shaped(self, circuit: Circuit) -> Circuit:
        """As it is."""
        return circuit

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """Nothing is carried but the state."""
        return ()

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        gradient, (state, outputs, loss) = eqx.filter_grad(self.objective, has_aux=True)(
            circuit, stream.state, data
        )
        counts = (summed(z, data.valid) for z in outputs[:-1])
        rates = mean_rates(counts, count_steps(data))
        return Outcome(gradient, stream._replace(state=state), loss, outputs[-1], rates)

    def objective(
        self, circuit: Circuit, state: State, data: Data
    ) -> tuple[Float[Array, ""], tuple[State, tuple, Array]]:
        """What is differentiated; with it the state at the end, all outputs, and the loss alone."""
        steps = count_steps(data)
        state, outputs = _simulate(circuit, state, data, self.graph)
        loss = jnp.mean(sequence_loss(self.loss, outputs[-1], data.ys, data.weight))
        penalty = sum(self.loss.rate.loss(summed(z, data.valid), steps) for z in outputs[:-1])
        return loss + penalty, (state, outputs, loss)


def _simulate(
    circuit: Circuit, state: State, data: Data, graph: Graph
) -> tuple[State, tuple[Float[Array, "time batch _"], ...]]:
    def body(state: State, now: tuple) -> tuple[State, tuple]:
        x, first, valid, cut = now
        if cut is not None:
            state = jax.tree.map(lambda a: jnp.where(cut, jax.lax.stop_gradient(a), a), state)
        after = hold(valid, circuit.step(state, x, first).after, state)
        return after, tuple(stage.z for stage in after)

    first = circuit.stages[0].feedforward(data.xs)
    steps = jnp.arange(data.xs.shape[0])
    cut = None if graph.window is None else steps % graph.window == 0
    return over_time(body, state, (data.xs, first, data.valid, cut))
