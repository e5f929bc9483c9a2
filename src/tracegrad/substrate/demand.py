"""Demand: what a rule on a network asks of a platform, in counts."""

from typing import NamedTuple


class Population(NamedTuple):
    """A layer or the readout: what a core must have to hold some of its neurons.

    `lines` come in altogether, `fan_in` of them reach a neuron, through `synapses` synapses (a
    neuron of several currents has one for each); `targets` are the populations, by their place in
    `Demand.populations`, that its neurons reach.
    """

    neurons: int
    lines: int
    fan_in: int
    synapses: int
    targets: tuple[int, ...] = ()


class Demand(NamedTuple):
    """What a rule on a network needs, one sample. Counts are of the whole network.

    `fan_in` is the most synapses of a neuron; `words` numbers carried, by kind; `reads` the
    quantities that a weight change reads, in the words of `Engine.sees`; `not_local` the
    parameters whose change needs other neurons than its two and a broadcast; `populations` the
    layers and at last the readout; `dt` the seconds of a step.
    """

    inputs: int
    neurons: int
    outputs: int
    synapses: int
    fan_in: int
    words: dict[str, int]
    reads: tuple[str, ...]
    not_local: tuple[str, ...]
    populations: tuple[Population, ...]
    dt: float

    @property
    def synapse_traces(self) -> bool:
        """Whether every synapse keeps a number of its own beside its weight."""
        return "synapse_trace" in self.reads
