"""Rule: a composition of influence, filter and signal."""

from typing import NamedTuple

from tracegrad.learn.filter import AbstractFilter
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.signal import AbstractSignal
from tracegrad.model.network import Network


class Rule(NamedTuple):
    """A learning rule: what is kept, what it is filtered with, and how the loss is made known.

    `influence=None` keeps the whole graph of a block instead of an influence: backpropagation
    through time, the offline reference, to which filter and signal do not apply.
    """

    name: str
    summary: str
    influence: AbstractInfluence | None
    filter: AbstractFilter
    signal: AbstractSignal

    @property
    def online(self) -> bool:
        """Whether the rule can learn from one step of a stream."""
        return self.influence is not None

    def check(self, network: Network) -> None:
        """Refuse a network the rule cannot serve, with the reason and the way out."""
        self.filter.check(network)
        self.signal.check(network)
