"""Rewarded: an influence whose product with the signal is filtered and waits for the reward."""

from typing import Any

from jaxtyping import PRNGKeyArray

from tracegrad.learn.filter import Taps
from tracegrad.learn.influence import AbstractInfluence, Block, Cotangents
from tracegrad.learn.local import Local
from tracegrad.model.adjustable import adjustable
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.parameter import setting


class Rewarded(AbstractInfluence):
    r"""Carries what `kept` carries; products $p^t$ become $F_\gamma^t=\gamma F_\gamma^{t-1}+p^t$.

    The plan `Reward` executes it. One more number per parameter and sample.
    """

    kept: Block = setting(Block(self_weight=False, reset=False))
    discount: float = adjustable(
        0.99, "what a product keeps while it waits for the reward", "per step", high=1.0
    )

    def shaped(self, circuit: Circuit, taps: Taps) -> Circuit:
        """As the influence itself."""
        return self.kept.shaped(circuit, taps)

    def prepare(self, circuit: Circuit) -> Circuit:
        """As what is kept."""
        return self.kept.prepare(circuit)

    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> Any:
        """As what is kept."""
        return self.kept.init(circuit, taps, batch, key)

    def push(
        self, circuit: Circuit, taps: Taps, memory: Any, moment: Moment, locals_: tuple[Local, ...]
    ) -> Any:
        """As what is kept."""
        return self.kept.push(circuit, taps, memory, moment, locals_)

    def pull(self, circuit: Circuit, memory: Any, cotangents: Cotangents) -> Circuit:
        """As what is kept."""
        return self.kept.pull(circuit, memory, cotangents)
