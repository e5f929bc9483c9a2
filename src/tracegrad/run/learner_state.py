"""Learner state: what a learner carries from block to block, and says of one."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from tracegrad.errors import UsageError
from tracegrad.learn.plans.plan import AbstractPlan, Data, Stream
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Network, real, real_type
from tracegrad.substrate.substrate import Placed

T = TypeVar("T")

Gradient = tuple[Network, Feedback]  # feedback is empty unless the signal adapts it


class LearnerState(NamedTuple):
    """All that a learner carries; `gradient` of `waiting` steps awaits the next update.

    `key` is for the next stream of a random rule, `placed` what the substrate remembers.
    """

    network: Network
    feedback: Feedback
    optimiser: Any
    stream: Stream | None
    gradient: Gradient | None
    waiting: Int[Array, ""]
    key: PRNGKeyArray
    placed: Placed = Placed()


class Info(NamedTuple):
    """What a block did: its loss, the readout at every step, and every neuron's mean output."""

    loss: Float[Array, ""]
    outputs: Float[Array, "time batch o"]
    rates: tuple[Float[Array, " _"], ...]


def stream_of(state: LearnerState) -> Stream:
    """The stream, which a state for `sequence` alone has not."""
    if state.stream is None:
        raise ValueError(
            "This state has no stream. Make it with learner.init(key, batch), of a learner whose "
            "plan carries one on."
        )
    return state.stream


def waiting_gradient(state: LearnerState) -> Gradient:
    """The gradient that waits for the next update."""
    assert state.gradient is not None  # only inside a loop of updates at every step is there none
    return state.gradient


def apart(tree: T) -> T:
    """Every array in a buffer of its own, so that all can be donated."""
    return jax.tree.map(jnp.copy, tree)


def refitted(state: LearnerState, init: Callable[[PRNGKeyArray], LearnerState]) -> LearnerState:
    """The arrays of a state in the tree of what `init` makes, whose fixed numbers may differ.

    Nothing is made: only shapes are asked. `UsageError` where these differ: that is another
    learner.
    """
    like = jax.eval_shape(init, jax.random.key(0))
    arrays, shapes = jax.tree.leaves(state), jax.tree.leaves(like)
    if [(a.shape, a.dtype) for a in arrays] != [(a.shape, a.dtype) for a in shapes]:
        raise UsageError(
            "A learner that goes on must hold arrays of the same shapes, got others. Train anew."
        )
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


def block_of(
    plan: AbstractPlan, xs: Array, ys: Array, weight: Array | None, valid: Array | None
) -> Data:
    """A block with weight 1 at every step unless given, and no weight on padding.

    Counts become real numbers here, unless the plan reads bytes.
    """
    weight = jnp.ones(xs.shape[:2], real_type(xs)) if weight is None else real(weight)
    if valid is not None:
        weight = jnp.where(valid, weight, 0.0)
    data = Data(xs, ys, weight, valid)
    return data if plan.reads_bytes else data.real


def windows_of(data: Data, every: int) -> Data:
    """A block as windows of `every` steps, the first axis; it is a multiple of them."""
    steps = data.xs.shape[0]
    if steps % every:
        raise ValueError(
            f"A block must be a multiple of update_every = {every} steps, got {steps}. Pad it "
            "with steps of valid=False, or use step."
        )
    return jax.tree.map(lambda a: a.reshape(steps // every, every, *a.shape[1:]), data)
