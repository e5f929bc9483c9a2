"""Rule: a composition of influence, filter and signal."""

from collections.abc import Callable
from typing import NamedTuple

import optax

from tracegrad.learn.filter import AbstractFilter
from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.loss import Loss
from tracegrad.learn.losses.actor_critic import ActorCritic
from tracegrad.learn.signal import AbstractSignal, Heard
from tracegrad.model.network import Circuit, Network
from tracegrad.model.neuron import CURRENT

Need = Callable[[Network], None]
Around = Callable[[optax.GradientTransformation], optax.GradientTransformation]


class Rule(NamedTuple):
    """A learning rule: what is kept, what it is filtered with, and how the loss is made known.

    A `Graph` or `Horizon` in place of an influence keeps a computation graph: backpropagation
    through time, to which filter and signal do not apply. `needs` refuse a network that the rule
    cannot serve; `around` turns the user's optimiser into that of a rule with one of its own.
    """

    name: str
    summary: str
    influence: AbstractInfluence | Graph | Horizon
    filter: AbstractFilter
    signal: AbstractSignal
    needs: tuple[Need, ...] = ()
    around: Around | None = None

    @property
    def online(self) -> bool:
        """Whether the rule can learn from one step of a stream."""
        return not isinstance(self.influence, Graph)

    def hear(self, circuit: Circuit, heard: Heard) -> Heard:
        """What the signal may use, from the plain error and the gains of all stages.

        The filter passes the error on, and the readout's own gain is taken off the end.
        """
        error = self.filter.error(circuit, heard.error, heard.gains[-1][CURRENT])
        return heard._replace(gains=heard.gains[:-1], error=error)

    def check(self, network: Network) -> None:
        """Refuse a network the rule cannot serve, with the reason and the way out."""
        for need in self.needs:
            need(network)
        self.filter.check(network)
        self.signal.check(network)

    def check_loss(self, loss: Loss) -> None:
        """Refuse a loss this rule cannot follow."""
        self.signal.check_loss(loss)
        rewarded, acts = isinstance(self.influence, Rewarded), isinstance(loss.at_step, ActorCritic)
        if rewarded != acts or (acts and loss.rate.strength):
            raise ValueError(
                "The rule reward_eprop() and the loss actor_critic() belong together, without a "
                f"rate regulariser, got {self.name}. Use both, or neither."
            )
        if loss.over_time is not None and not isinstance(self.influence, Graph):
            raise ValueError(
                "This loss scores a whole sequence and is no sum over steps, so "
                f"{self.name} cannot learn from it as it goes. Use bptt(), or a readout that "
                "sums up, Readout.of(Integrator(), ...), with the loss at the last step."
            )

    def check_schedule(self, update_every: int | None, loss: Loss) -> None:
        """Refuse a schedule the rule cannot keep: an offline rule needs its whole window."""
        if update_every is None or not isinstance(self.influence, Graph):
            return
        if loss.over_time is not None:
            raise ValueError(
                "This loss scores a whole sequence, which needs one update per sequence, got "
                f"update_every={update_every}. Leave it None."
            )
        window = self.influence.window
        if window is None:
            raise ValueError(
                f"{self.name} is offline and updates once per sequence, got update_every="
                f"{update_every}. Leave it None, or choose an online rule."
            )
        if update_every % window:
            raise ValueError(
                f"{self.name} updates after whole windows of {window} steps, got update_every="
                f"{update_every}. Make it a multiple, or leave it None."
            )
