r"""look_back: every step's loss differentiated through the last K steps, over block boundaries too.

For a loss at step $t$: $\lambda_0=\partial L^t/\partial h^t$,
$\lambda_d=\lambda_{d-1}H^{t-d+1}$, and the gradient is $\sum_{d<K}\lambda_d F^{t-d}$. All steps of
a block go back at once, so that the scan is over $d$ only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tracegrad.learn.graph import Horizon
from tracegrad.learn.plans.plan import (
    AbstractPlan,
    Data,
    Outcome,
    Stream,
    count_steps,
    judge,
    mean_rates,
    summed,
)
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, State, hold
from tracegrad.model.over_time import over_time


class Past(NamedTuple):
    """Steps as they were: the state before, the input, and whether the step exists."""

    before: State
    x: Float[Array, "*steps m"]
    exists: Bool[Array, "*steps"]


class LookBack(AbstractPlan):
    """Keep the last K - 1 steps and differentiate every new loss through them.

    The Jacobians are those of the weights as they are now. Memory O(batch K (k n + m)), time
    O(batch K p) a step. A step of padding counts as a step.
    """

    @property
    def steps(self) -> int:
        """How many steps a loss reaches back, its own included."""
        assert isinstance(self.rule.influence, Horizon)
        return self.rule.influence.steps

    def shaped(self, circuit: Circuit) -> Circuit:
        """As it is."""
        return circuit

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """K - 1 steps that do not exist; the batch is the first axis, time the second."""
        stage = circuit.stages[0]
        none = Past(
            circuit.rest(batch),
            jnp.zeros((batch, stage.lines), stage.dtype),
            jnp.zeros(batch, bool),
        )
        return jax.tree.map(lambda a: jnp.repeat(a[:, None], self.steps - 1, axis=1), none)

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        time = data.xs.shape[0]
        state, seen = _forward(circuit, stream.state, data)
        older = _turned(stream.memory)
        past = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), older, seen)
        after = jax.tree.map(lambda a, b: jnp.concatenate([a[1:], b[None]]), seen.before, state)
        losses, errors = judge(self.loss, after[-1].z, data)
        steps = count_steps(data)
        counts = tuple(summed(stage.z, seen.exists) for stage in after[:-1])
        penalties = (self.loss.rate.error(count, steps) for count in counts)
        asked = [jnp.broadcast_to(p, s.z.shape) for p, s in zip(penalties, after, strict=False)]
        cotangent = tuple(
            stage._replace(s=jax.tree.map(jnp.zeros_like, stage.s), z=z)
            for stage, z in zip(after, (*asked, errors), strict=True)
        )
        total = self._credit(circuit, past, cotangent)
        _, back = jax.vjp(lambda c: jax.vmap(lambda p: _step(c, p.before, p))(past), circuit)
        memory = _turned(jax.tree.map(lambda a: a[time:], past))
        return Outcome(
            back(total)[0],
            stream._replace(state=state, memory=memory),
            jnp.sum(losses),
            after[-1].z,
            mean_rates(counts, steps),
        )

    def _credit(self, circuit: Circuit, past: Past, cotangent: State) -> State:
        """What all losses together ask of the state after every step of `past`."""
        length = past.exists.shape[0]
        time = length - self.steps + 1

        def back(before: Past, cotangent: State) -> State:
            _, pull = jax.vjp(lambda state: _step(circuit, state, before), before.before)
            return pull(cotangent)[0]

        def body(carry: tuple, start: Array) -> tuple[tuple, None]:
            total, cotangent = carry

            def add(total: Array, c: Array) -> Array:
                here = jax.lax.dynamic_slice_in_dim(total, start, time)
                return jax.lax.dynamic_update_slice_in_dim(total, here + c, start, 0)

            window = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, time), past)
            total = jax.tree.map(add, total, cotangent)
            return (total, jax.vmap(back)(window, cotangent)), None

        nothing = jax.tree.map(lambda a: jnp.zeros((length, *a.shape[1:]), a.dtype), cotangent)
        starts = jnp.arange(self.steps - 1, -1, -1)
        return jax.lax.scan(body, (nothing, cotangent), starts)[0][0]


def _step(circuit: Circuit, state: State, past: Past) -> State:
    """One step from `state`, with what came in at a step of the past."""
    first = circuit.stages[0].feedforward(past.x)
    return hold(past.exists, circuit.step(state, past.x, first).after, state)


def _forward(circuit: Circuit, state: State, data: Data) -> tuple[State, Past]:
    valid = jnp.ones(data.xs.shape[:2], bool) if data.valid is None else data.valid

    def body(state: State, now: tuple) -> tuple[State, State]:
        return _step(circuit, state, Past(state, *now)), state

    end, before = over_time(body, state, (data.xs, valid))
    return end, Past(before, data.xs, valid)


def _turned(past: Past) -> Past:
    """Time and batch exchanged: a memory has the batch first, a scan the time."""
    return jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), past)
