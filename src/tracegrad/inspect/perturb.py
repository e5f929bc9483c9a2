"""Perturb: one random step of a rule, run again with one number changed at a time."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PRNGKeyArray

from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.loss import mean_squared_error
from tracegrad.learn.losses.actor_critic import actor_critic
from tracegrad.learn.plans.look_back import LookBack
from tracegrad.learn.plans.plan import AbstractPlan, Data, Judged, Stream
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.learn.plans.reward import Reward
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Feedback
from tracegrad.model.network import Circuit, Moment, Network

_MOVED = 1e-6  # relative to the largest change of the same quantity
_RATE = 0.1  # with which feedback that adapts learns here; any would do
_SMALL = 0.1  # of the outputs before the step


class Seen(NamedTuple):
    """All that a rule may look at in one step."""

    moment: Moment
    memory: Any  # the numbers of what `carried` returns
    error: Array
    target: Array
    circuit: Circuit


def every_step(rule: Rule, common: tuple[frozenset[str], ...] = ()) -> AbstractPlan:
    """The plan that executes a rule where the weights change at every step.

    `common` as in `Work`: without it every neuron has traces of its own, as the rule says.
    """
    loss = actor_critic() if isinstance(rule.influence, Rewarded) else mean_squared_error()
    return choose(rule, loss, Work(1, carry=True, common=common)).plan


def carried(stream: Stream, signal: AbstractSignal, feedback: Any) -> tuple[Any, Any, Any]:
    """All that a rule carries on: of the influence, of the signal, and feedback that learns."""
    return stream.memory, stream.signal, feedback if signal.adapts else ()


def random_step(plan: AbstractPlan, network: Network, key: PRNGKeyArray) -> tuple:
    """A step with every input, state and error away from zero; feedback; and what is carried.

    Last outputs are small, so that resets leave neurons to spike that a rule runs again.
    """
    keys = iter(jax.random.split(key, 8))
    network = network.init(next(keys))
    circuit, feedback = network.discretise(), plan.rule.signal.init(network, next(keys))

    def noise(tree: Any) -> Any:
        flat, restore = ravel_pytree(tree)
        return restore(0.5 + jax.random.uniform(next(keys), flat.shape, flat.dtype))

    stream = plan.rest(circuit, 1, next(keys))
    x = jnp.zeros((1, circuit.stages[0].lines), circuit.stages[0].dtype)
    moment = noise(circuit.step(stream.state, x, circuit.stages[0].feedforward(x)))
    small = tuple(state._replace(z=_SMALL * state.z) for state in moment.before)
    error = noise(moment.after[-1].z)
    seen = Seen(moment._replace(before=small), (), error, noise(error), circuit)
    return seen, feedback, carried(stream, plan.rule.signal, feedback)


def look(plan: AbstractPlan, at: Seen, fixed: Any, feedback: Feedback) -> tuple:
    """What is carried after the step, and which of its numbers, and of the gradient, move."""
    flat, restore = ravel_pytree(at)
    kicks = jnp.diag(0.3 + 0.5 * jax.random.uniform(jax.random.key(4), flat.shape, flat.dtype))

    def step(kick: Array) -> tuple[Any, Array, Array]:
        after, gradient = _learn(plan, feedback, restore(flat + kick), fixed)
        numbers = eqx.filter(after, eqx.is_inexact_array)
        return after, ravel_pytree(numbers)[0], ravel_pytree(gradient)[0]

    def moves(values: Array) -> Array:
        change = jnp.abs(values[1:] - values[:1]).T
        largest = jnp.max(change, axis=1, initial=0.0, keepdims=True)
        return change > _MOVED * jnp.maximum(largest, 1e-30)

    kicks = jnp.concatenate([jnp.zeros_like(kicks[:1]), kicks])  # first as it is
    after, memory, gradient = jax.vmap(step)(kicks)
    return jax.tree.map(lambda a: a[0], after), moves(memory), moves(gradient)


def _learn(plan: AbstractPlan, feedback: Feedback, seen: Seen, fixed: Any) -> tuple[Any, Circuit]:
    """What the rule carries on after the step, and the gradient of the step."""
    signal = plan.rule.signal
    memory, remembered, learned = eqx.combine(seen.memory, fixed)
    feedback = learned if signal.adapts else feedback
    gradient, memory, remembered = _credit(plan, feedback, seen, (memory, remembered))
    gradient, taught, remembered = signal.learn(seen.circuit, feedback, gradient, remembered)
    if signal.adapts:
        learned = jax.tree.map(lambda b, g: b - _RATE * g, feedback, taught)
    return (memory, remembered, learned), gradient


def _credit(plan: AbstractPlan, feedback: Feedback, seen: Seen, old: tuple) -> tuple:
    """The step's gradient, and the memories of influence and signal after it."""
    one = jnp.ones(1, seen.error.dtype)
    if isinstance(plan, LookBack):  # runs through the step by itself
        x, target = seen.moment.incoming[0], seen.target
        stream, data = (
            Stream(seen.moment.before, *old),
            Data(x[None], target[None], one[None], None),
        )
        outcome = plan.block(seen.circuit, feedback, stream, data)
        return outcome.gradient, outcome.stream.memory, outcome.stream.signal
    assert isinstance(plan, Step | Reward)
    circuit = plan.influence.prepare(seen.circuit)
    memory = plan.influence.begin(old[0], feedback) if isinstance(plan, Step) else old[0]
    judged = Judged(seen.moment, seen.error, seen.target, one)
    return plan.learn(circuit, feedback, (memory, old[1]), judged)
