"""OwnError: the last layer hears the error of its own units, the layers below a broadcast."""

from typing import Any, ClassVar

from jaxtyping import PRNGKeyArray

from tracegrad.learn.loss import Loss
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals
from tracegrad.learn.signals.uniform import Uniform
from tracegrad.model.network import Circuit, Network
from tracegrad.model.parameter import setting


class OwnError(AbstractSignal):
    r"""$L=W_o^\top\delta$ for the layer that is read, what `below` says for the others.

    For an output population whose units each have an error of their own ($W_o$ the identity).
    Source: Zenke & Ganguli 2018, with random or uniform feedback to hidden units.
    """

    adapts: ClassVar[bool] = False
    below: AbstractSignal = setting(Uniform())

    def check(self, network: Network) -> None:
        """What the signal below serves, if its feedback is fixed."""
        self.below.check(network)
        if self.below.adapts or self.below.remembers:
            raise ValueError(
                f"The layers below need fixed feedback, got {type(self.below).__name__}. Use "
                "Random() or Uniform()."
            )

    def check_loss(self, loss: Loss) -> None:
        """What the signal below can speak of."""
        self.below.check_loss(loss)

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """That of the signal below."""
        return self.below.init(network, key)

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """See the class."""
        own = circuit.split(heard.error @ circuit.stages[-1].matrix)[-1]
        assert own is not None  # the last layer is always read
        others, memory = self.below(circuit, feedback, heard, memory)
        return (*others[:-1], own), memory
