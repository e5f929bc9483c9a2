"""The contract of a plan: the gradient of a block of steps, carried on from the block before."""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray

from tracegrad.learn.loss import Loss
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, State
from tracegrad.model.parameter import setting


class Data(NamedTuple):
    """A block of steps: inputs, targets, loss weights, and which steps exist (None: all)."""

    xs: Float[Array, "time batch m"]
    ys: Num[Array, "time batch *o"]
    weight: Float[Array, "time batch"]
    valid: Bool[Array, "time batch"] | None


class Stream(NamedTuple):
    """What is carried from block to block: states of the network, and what the rule remembers.

    `memory` is the influence's, `signal` the signal's.
    """

    state: State
    memory: Any
    signal: Any


class Outcome(NamedTuple):
    """Result of a block: its gradient, what to carry on, its loss, outputs and mean rates."""

    gradient: Circuit
    stream: Stream
    loss: Float[Array, ""]
    outputs: Float[Array, "time batch o"]
    rates: tuple[Float[Array, " _"], ...]


class AbstractPlan(eqx.Module):
    """A way to compute a rule's gradient."""

    rule: Rule = setting(None)
    loss: Loss = setting(None)

    @abstractmethod
    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """The influence's memory at the start of a stream; `key` is for random influences."""

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Stream:
        """The start of a stream: everything at rest."""
        heard = self.rule.signal.rest(circuit, batch, jax.random.fold_in(key, 1))
        return Stream(circuit.rest(batch), self.init(circuit, batch, key), heard)

    @abstractmethod
    def block(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """Gradient of the loss summed over the block, and the stream after it."""


def count_steps(data: Data) -> Float[Array, " batch"]:
    """Number of steps of a block that exist, for each sample."""
    if data.valid is None:
        return jnp.full(data.xs.shape[1], data.xs.shape[0], data.xs.dtype)
    return jnp.sum(data.valid, axis=0, dtype=data.xs.dtype)
