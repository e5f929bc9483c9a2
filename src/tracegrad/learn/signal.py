"""Signals: how a hidden neuron learns of the loss, the third factor."""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.network import Circuit, Network
from tracegrad.model.parameter import setting

Feedback = tuple[Float[Array, "_ o"], ...]  # each layer has its own size
Currents = tuple[Float[Array, "batch _"], ...]


class AbstractSignal(eqx.Module):
    r"""Turns the readout's error $\delta$ into a signal $L_j$ for every hidden neuron."""

    adapts: ClassVar[bool]  # whether the feedback itself learns

    @abstractmethod
    def check(self, network: Network) -> None:
        """Refuse a network this signal cannot serve."""

    @abstractmethod
    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """Feedback weights, one matrix (n, o) per hidden layer, or none."""

    @abstractmethod
    def __call__(
        self,
        circuit: Circuit,
        feedback: Feedback,
        gains: Currents,
        error: Float[Array, "batch o"],
    ) -> Currents:
        r"""Signal of every hidden layer; `gains` are their $\partial z/\partial I$."""

    @abstractmethod
    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit
    ) -> tuple[Circuit, Feedback]:
        """The gradient with what this signal adds to it, and the gradient of the feedback."""


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
        self, circuit: Circuit, feedback: Feedback, gains: Currents, error: Array
    ) -> Currents:
        """Equation (1)."""
        direct = circuit.split(error @ circuit.stages[-1].weight)
        signals: list[Array] = []
        for index in reversed(range(len(circuit.hidden))):
            signal = direct[index]
            if signals:
                above = (signals[0] * gains[index + 1]) @ circuit.stages[index + 1].weight
                signal = above if signal is None else signal + above
            assert signal is not None  # the last layer is always read
            signals.insert(0, signal)
        return tuple(signals)

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit
    ) -> tuple[Circuit, Feedback]:
        """Adds nothing."""
        return gradient, ()


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
        self, circuit: Circuit, feedback: Feedback, gains: Currents, error: Array
    ) -> Currents:
        """See the class."""
        return tuple(error @ matrix.T for matrix in feedback)

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit
    ) -> tuple[Circuit, Feedback]:
        """Adds nothing: the feedback stays as it was drawn."""
        return gradient, ()


class Adaptive(AbstractSignal):
    r"""Random feedback that gets the same updates as $W_o^\top$, both with weight decay.

    $\partial B=\partial W_o^\top+\gamma B,\ \partial W_o\leftarrow\partial W_o+\gamma W_o$   (1)

    so that $B$ and $W_o^\top$ converge. Source: Kolen & Pollack 1994, as in Bellec et al. 2020.
    """

    adapts: ClassVar[bool] = True
    weight_decay: float = setting(1e-2)

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
        self, circuit: Circuit, feedback: Feedback, gains: Currents, error: Array
    ) -> Currents:
        """As random feedback."""
        return tuple(error @ matrix.T for matrix in feedback)

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit
    ) -> tuple[Circuit, Feedback]:
        """Equation (1)."""
        parts = circuit.split(gradient.stages[-1].weight)
        followed = tuple(
            part.T + self.weight_decay * matrix
            for part, matrix in zip(parts, feedback, strict=True)
            if part is not None
        )
        weight = gradient.stages[-1].weight + self.weight_decay * circuit.stages[-1].weight
        return eqx.tree_at(lambda c: c.stages[-1].weight, gradient, weight), followed


class ThroughReadout(AbstractSignal):
    """No signal to hidden neurons: the influence reaches the readout itself (RTRL)."""

    adapts: ClassVar[bool] = False

    def check(self, network: Network) -> None:
        """Serves every network."""

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """None."""
        return ()

    def __call__(
        self, circuit: Circuit, feedback: Feedback, gains: Currents, error: Array
    ) -> Currents:
        """Nothing."""
        return ()

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit
    ) -> tuple[Circuit, Feedback]:
        """Adds nothing."""
        return gradient, ()
