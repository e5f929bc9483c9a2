"""Signals: how a hidden neuron learns of the loss, the third factor."""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, Num, PRNGKeyArray

from tracegrad.learn.local import Rows
from tracegrad.learn.loss import Loss, loss_and_error
from tracegrad.model.adjustable import adjustable
from tracegrad.model.linear_map import transposed
from tracegrad.model.network import Circuit, Moment, Network
from tracegrad.model.neuron import CURRENT

Feedback = tuple[Float[Array, "_ _"], ...]  # each layer has its own size
# One for each layer: for the output or tap that the filter meets, or by the names of states.
Signals = tuple[Float[Array, "batch _ ..."] | Rows, ...]


class Heard(NamedTuple):
    r"""What a signal may use at one step.

    `error` is $\partial L^t/\partial y$ as the filter passes it on, `gains` are the hidden
    layers' $\partial z/\partial I$ by port; `weight` is the loss weight of the step.
    """

    moment: Moment
    gains: tuple[Rows, ...]
    error: Float[Array, "batch o"]
    target: Num[Array, "batch *o"]
    weight: Float[Array, " batch"]
    loss: Loss

    def error_of(self, y: Float[Array, "batch o"]) -> Float[Array, "batch o"]:
        """The error that another readout `y` of the same target would make."""
        return loss_and_error(self.loss, y, self.target, self.weight)[1]


class AbstractSignal(eqx.Module):
    r"""Turns the readout's error $\delta$ into a signal $L_j$ for every hidden neuron.

    A signal that remembers carries a memory from step to step, with the batch as the first axis of
    every array; the others carry `()` and can be asked for all steps of a block at once.
    """

    adapts: ClassVar[bool]  # whether the feedback itself learns
    remembers: ClassVar[bool] = False

    @abstractmethod
    def check(self, network: Network) -> None:
        """Refuse a network this signal cannot serve."""

    def check_loss(self, loss: Loss) -> None:
        """Refuse a loss of which this signal could say nothing."""

    @abstractmethod
    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """Feedback weights, one matrix (n, o) per hidden layer, or none."""

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """The memory at the start of a stream; `key` is for signals that draw."""
        return ()

    @abstractmethod
    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """Signal of every hidden layer, and the memory one step on."""

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit, memory: Any
    ) -> tuple[Circuit, Feedback, Any]:
        """At the end of a block: the gradient with what this signal adds to it, the gradient of
        the feedback, and the memory for the next block."""
        return gradient, (), memory


class Symmetric(AbstractSignal):
    r"""Spatial reverse mode through the stack at this time step, with the true weights.

    $L^{l}=W_o^{l\top}\delta
    +W^{l+1\top}\big(L^{l+1}\odot\partial z^{l+1}/\partial I^{l+1}\big)$   (1)

    Needs weight transport. O(batch p) a step.
    """

    adapts: ClassVar[bool] = False

    def check(self, network: Network) -> None:
        """Serves every network."""

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """None."""
        return ()

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """Equation (1)."""
        direct = circuit.split(heard.error @ circuit.stages[-1].matrix)
        signals: list[Array] = []
        for index in reversed(range(len(circuit.hidden))):
            signal = direct[index]
            if signals:
                gains, weights = heard.gains[index + 1], circuit.stages[index + 1].weight
                for port, weight in weights.items():
                    above = transposed(weight, signals[0] * gains[port])
                    signal = above if signal is None else signal + above
            assert signal is not None  # the last layer is always read
            signals.insert(0, signal)
        return tuple(signals), memory


def _draw(network: Network, key: PRNGKeyArray) -> Feedback:
    """Feedback weights of the scale of readout weights, N(0, 1/n)."""
    outputs = network.readout.input.outputs
    sizes = [layer.input.outputs for layer in network.layers]
    keys = jax.random.split(key, len(sizes))
    return tuple(
        jax.random.normal(k, (n, outputs), dtype=float) / n**0.5
        for k, n in zip(keys, sizes, strict=True)
    )


class Random(AbstractSignal):
    r"""Direct random feedback $L^l=B^l\delta$ with fixed $B^l_{jk}\sim\mathcal N(0,1/n_l)$."""

    adapts: ClassVar[bool] = False

    def check(self, network: Network) -> None:
        """Serves every network."""

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """Draw the feedback weights."""
        return _draw(network, key)

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """See the class."""
        return tuple(heard.error @ matrix.T for matrix in feedback), memory


class Adaptive(AbstractSignal):
    r"""Random feedback that gets the same updates as $W_o^\top$, both with weight decay.

    $\partial B=\partial W_o^\top+\gamma B,\ \partial W_o\leftarrow\partial W_o+\gamma W_o$   (1)

    so that $B$ and $W_o^\top$ converge. Source: Kolen & Pollack 1994, as in Bellec et al. 2020.
    """

    adapts: ClassVar[bool] = True
    weight_decay: float = adjustable(
        1e-2, "what feedback and readout lose alike", "gradient per weight"
    )

    def check(self, network: Network) -> None:
        """Refuse layers without readout weights to follow."""
        if len(network.layers) > 1 and not network.readout.all_layers:
            raise ValueError(
                "Adaptive feedback follows the readout weights of every layer, but this readout "
                "reads only the last. Use Readout(..., all_layers=True), or random feedback."
            )

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """Draw the feedback weights."""
        return _draw(network, key)

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """As random feedback."""
        return tuple(heard.error @ matrix.T for matrix in feedback), memory

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit, memory: Any
    ) -> tuple[Circuit, Feedback, Any]:
        """Equation (1)."""
        parts = circuit.split(gradient.stages[-1].matrix)
        followed = tuple(
            part.T + self.weight_decay * matrix
            for part, matrix in zip(parts, feedback, strict=True)
            if part is not None
        )
        weight = gradient.stages[-1].matrix + self.weight_decay * circuit.stages[-1].matrix
        changed = eqx.tree_at(lambda c: c.stages[-1].weight, gradient, {CURRENT: weight})
        return changed, followed, memory


class ThroughReadout(AbstractSignal):
    """No signal to hidden neurons: the influence reaches the readout itself (RTRL)."""

    adapts: ClassVar[bool] = False

    def check(self, network: Network) -> None:
        """Serves every network."""

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """None."""
        return ()

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """Nothing."""
        return (), memory
