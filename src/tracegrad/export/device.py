"""Device: the learner whose bits the C library has, a single stream in float64.

The substrate's numbers stay exact floats: in float64 no sum or product of them is rounded before
the substrate rounds it (`exact`), so the simulation computes what whole numbers compute.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from tracegrad.errors import UsageError
from tracegrad.learn.loss import class_squared_error
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Network
from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import LearnerState
from tracegrad.substrate.substrate import Substrate


class Device(NamedTuple):
    """A learner on a substrate and its state at the start; plain SGD with `rate` at every step."""

    learner: Learner
    state: LearnerState
    rate: float

    @property
    def substrate(self) -> Substrate:
        """Whose numbers it computes in."""
        return self.learner.substrate


class Lesson(NamedTuple):
    """What a device does: a rule, the substrate it learns on, its learning rate, and a seed."""

    rule: Rule
    substrate: Substrate
    rate: float
    seed: int = 0


def device(network: Network, lesson: Lesson, feedback: Feedback | None = None) -> Device:
    """A trained network put on a substrate, to go on learning there.

    `feedback` are the weights of a signal that has some; without it they are drawn. The loss is the
    squared error to a class. Needs 64-bit numbers in JAX: `jax.enable_x64(True)`.
    """
    if jnp.zeros(()).dtype != jnp.float64:
        raise ValueError("A device is exact in float64 only. Use with jax.enable_x64(True): ...")
    network = _double(network)
    try:
        learner = Learner(
            network, lesson.rule, class_squared_error(), optax.sgd(lesson.rate), update_every=1
        ).on(lesson.substrate)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    key = jax.random.key(lesson.seed)
    state = jax.jit(lambda key: learner.init(key, batch=1))(key)
    if feedback:
        network, given, placed = lesson.substrate.place(network, _double(feedback), key)
        state = state._replace(network=network, feedback=given, placed=placed)
    return Device(learner, state, lesson.rate)


def _double(tree: Any) -> Any:
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), tree)


class Block(NamedTuple):
    """Steps of a stream: counts of events (time, lines), classes (time,); -1: no class."""

    events: np.ndarray
    labels: np.ndarray

    @property
    def steps(self) -> int:
        """How many."""
        return len(self.labels)


def follow(device: Device, block: Block, seen: Any) -> tuple[LearnerState, Any]:
    """The state after a block, and `seen(state)` after every step of it."""

    def body(state: LearnerState, now: tuple[Array, Array]) -> tuple[LearnerState, Any]:
        x, label = now
        weight = (label >= 0).astype(x.dtype)[None]
        state, _ = device.learner.step(state, x[None], jnp.maximum(label, 0)[None], weight)
        return state, seen(state)

    xs = jnp.asarray(block.events, jnp.float64)
    run = jax.jit(lambda state, data: jax.lax.scan(body, state, data))
    return run(device.state, (xs, jnp.asarray(block.labels, jnp.int32)))
