"""The contract of a plan: the gradient of a block of steps, carried on from the block before."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray, Shaped

from tracegrad.learn.loss import Loss, loss_and_error
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Moment, State, hold, real
from tracegrad.model.neuron import CURRENT
from tracegrad.model.over_time import over_time
from tracegrad.model.parameter import setting
from tracegrad.model.stage import StageState


class Data(NamedTuple):
    """A block of steps: inputs, targets, loss weights, and which steps exist (None: all)."""

    xs: Shaped[Array, "time batch m"]
    ys: Num[Array, "time batch *o"]
    weight: Float[Array, "time batch"]
    valid: Bool[Array, "time batch"] | None

    @property
    def real(self) -> "Data":
        """The same with real numbers as input, where it came as counts or booleans."""
        return self._replace(xs=real(self.xs))


class Stream(NamedTuple):
    """What is carried from block to block: states of the network, and what the rule remembers.

    `memory` is the influence's, `signal` the signal's, `target` the readout's dynamics in which a
    loss with a kernel sees the targets.
    """

    state: State
    memory: Any
    signal: Any
    target: StageState | None = None


class Judged(NamedTuple):
    r"""One step that happened, and the verdict on it: `error` is $\partial L^t/\partial y$."""

    moment: Moment
    error: Float[Array, "batch o"]
    target: Num[Array, "batch *o"]
    weight: Float[Array, " batch"]
    valid: Bool[Array, " batch"] | None = None


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

    @property
    def carries(self) -> bool:
        """Whether a block may follow on another: what it remembers is carried on."""
        return True

    @property
    def partitions(self) -> bool:
        """Whether its arrays may lie on several devices."""
        return True

    @property
    def reads_bytes(self) -> bool:
        """Whether it reads input of bytes or booleans as it is, which others take as reals."""
        return False

    @abstractmethod
    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """The influence's memory at the start of a stream; `key` is for random influences."""

    def shaped(self, circuit: Circuit) -> Circuit:
        """The circuit in the form that this plan works on: of matrices, unless it says otherwise.

        Shared kernels and lists of synapses become matrices, and the gradient returns to them by
        the chain rule.
        """
        return circuit.as_matrices()

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Stream:
        """The start of a stream: everything at rest."""
        circuit = self.shaped(circuit)
        signal = self.rule.signal.rest(circuit, batch, jax.random.fold_in(key, 1))
        target = circuit.stages[-1].rest(batch) if self.loss.kernel else None
        return Stream(circuit.rest(batch), self.init(circuit, batch, key), signal, target)

    def block(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """Gradient of the loss summed over the block, and the stream after it."""
        if not circuit.mapped:
            return self._block(circuit, feedback, stream, data)
        shaped, back = jax.vjp(self.shaped, circuit)
        outcome = self._block(shaped, feedback, stream, data)
        # A rule may have detached resets, which is part of the structure and no array.
        leaves = jax.tree.leaves(outcome.gradient)
        same = jax.tree.unflatten(jax.tree.structure(shaped), leaves)
        return outcome._replace(gradient=back(same)[0])

    def _block(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        if not self.loss.kernel:
            return self.outcome(circuit, feedback, stream, data)
        assert stream.target is not None  # every stream begins with rest
        target, ys = through_readout(circuit, stream.target, data.ys, data.valid)
        bare, data = stream._replace(target=None), data._replace(ys=ys)
        outcome = self.outcome(circuit, feedback, bare, data)
        return outcome._replace(stream=outcome.stream._replace(target=target))

    @abstractmethod
    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """The same for targets as the loss compares them, and a stream without `target`."""


def through_readout(
    circuit: Circuit,
    before: StageState,
    ys: Num[Array, "time batch o"],
    valid: Bool[Array, "time batch"] | None,
) -> tuple[StageState, Float[Array, "time batch o"]]:
    """Targets as currents of the readout's units, without its weights: their state, and output."""
    readout = circuit.stages[-1]
    if not jnp.issubdtype(ys.dtype, jnp.floating) or ys.shape[2:] != (readout.size,):
        raise TypeError(
            f"van_rossum needs spike trains of {readout.size} lines as real targets, got "
            f"{ys.dtype} of shape {ys.shape}. Give one train for each readout."
        )

    def body(state: StageState, now: tuple) -> tuple[StageState, Array]:
        y, valid = now
        after = hold(valid, readout.cell(readout.coefficients, state, {CURRENT: y}), state)
        return after, after.z

    return over_time(body, before, (ys, valid))


def judge(
    loss: Loss, outputs: Float[Array, "time batch o"], data: Data
) -> tuple[Float[Array, " time"], Float[Array, "time batch o"]]:
    """Loss of every step of a block, and the error it makes at the readout."""
    return jax.vmap(lambda y, t, w: loss_and_error(loss, y, t, w))(outputs, data.ys, data.weight)


def count_steps(data: Data) -> Float[Array, " batch"]:
    """Number of steps of a block that exist, for each sample."""
    if data.valid is None:
        return jnp.full(data.xs.shape[1], data.xs.shape[0], data.weight.dtype)
    return jnp.sum(data.valid, axis=0, dtype=data.weight.dtype)


def summed(
    z: Float[Array, "time batch n"], valid: Bool[Array, "time batch"] | None
) -> Float[Array, "batch n"]:
    """Output summed over the steps that exist."""
    return jnp.sum(z if valid is None else jnp.where(valid[..., None], z, 0.0), axis=0)


def mean_rates(
    counts: Iterable[Float[Array, "batch _"]], steps: Float[Array, " batch"]
) -> tuple[Float[Array, " _"], ...]:
    """Mean output of every neuron, from its sums over the steps that exist."""
    total = jnp.maximum(jnp.sum(steps), 1.0)
    return tuple(jnp.sum(count, axis=0) / total for count in counts)
