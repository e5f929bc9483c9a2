"""Placement: a network laid on cores, layer by layer, within the limits of a core.

It is one way to do it and not the best: what it finds room for fits, what it does not may still.
"""

from math import ceil
from typing import NamedTuple

from tracegrad.substrate.check import UNKNOWN, Check, at_least, count
from tracegrad.substrate.demand import Demand, Population
from tracegrad.substrate.presets import Limit, Limits, Preset


class Room(NamedTuple):
    """What a core has; None is unknown, and taken as no limit.

    `synapse_bits` is the memory of synapses, `width` the bits of one.
    """

    neurons: int
    synapse_bits: int | None
    width: int | None
    axons_in: int | None
    axons_out: int | None

    def share(self, population: Population) -> int:
        """The most neurons of a population on a core, as far as it does not depend on others."""
        most = min(self.neurons, population.neurons)
        if self.synapse_bits is not None and self.width is not None:
            most = min(most, self.synapse_bits // (self.width * population.synapses))
        if self.axons_in is not None and population.lines > self.axons_in:
            most = min(most, self.axons_in // population.fan_in)
        return most


class Placement(NamedTuple):
    """Of each population, neurons on one of its cores (the most) and how many cores it takes.

    A line is one axon into a core, whichever of its neurons it reaches; a neuron takes one axon out
    for every core of every population that it reaches.
    """

    populations: tuple[Population, ...]
    shares: tuple[int, ...]
    cores: tuple[int, ...]

    @property
    def axons_in(self) -> int:
        """The most lines into a core."""
        parts = zip(self.populations, self.shares, strict=True)
        return max(min(part.lines, share * part.fan_in) for part, share in parts)

    @property
    def reached(self) -> tuple[int, ...]:
        """Cores that a neuron of each population reaches."""
        return tuple(sum(self.cores[to] for to in part.targets) for part in self.populations)

    @property
    def axons_out(self) -> int:
        """The most axons out of a core."""
        return max(share * n for share, n in zip(self.shares, self.reached, strict=True))

    @property
    def synapses(self) -> int:
        """The most synapses on a core."""
        parts = zip(self.populations, self.shares, strict=True)
        return max(share * part.synapses for part, share in parts)


def place(populations: tuple[Population, ...], room: Room, cores: int) -> Placement | None:
    """Neurons spread evenly over as few cores a layer as hold them; None if a core holds no neuron.

    With more cores a layer is reached by more axons, so shares shrink until axons suffice or all
    `cores` are taken, with which it ends.
    """
    shares = tuple(room.share(part) for part in populations)
    while all(shares):
        pairs = list(zip(populations, shares, strict=True))
        taken = tuple(ceil(part.neurons / share) for part, share in pairs)
        even = tuple(ceil(p.neurons / n) for p, n in zip(populations, taken, strict=True))
        found = Placement(populations, even, taken)
        if room.axons_out is None or sum(taken) > cores or found.axons_out <= room.axons_out:
            return found
        parts = zip(even, found.reached, strict=True)
        shares = tuple(min(share, room.axons_out // max(n, 1)) for share, n in parts)
    return None


def placed(demand: Demand, preset: Preset) -> list[Check]:
    """Cores, their memory and their axons, against what is there."""
    limits, width = preset.limits, width_of_synapse(demand, preset)
    populations = _on_cores(demand, limits)
    if limits.cores is not None and limits.cores.value == 1:
        return _on_one(populations, demand, limits)
    found = None
    sized = limits.synapse_bytes_per_core is None or width is not None
    if limits.cores is not None and limits.neurons_per_core is not None and sized:
        found = place(populations, _room(limits, width), int(limits.cores.value))
    if found is None or limits.cores is None or sum(found.cores) > limits.cores.value:
        return _bounds(populations, demand, limits, width, found)
    return [
        count("cores", sum(found.cores), limits.cores),
        _memory(found.synapses, width, limits),
        count("axons into a core", found.axons_in, limits.axons_in_per_core),
        count("axons out of a core", found.axons_out, limits.axons_out_per_core),
        count("destinations of a neuron", max(found.reached), limits.destinations_per_neuron),
    ]


def width_of_synapse(demand: Demand, preset: Preset) -> int | None:
    """Bits of a weight, and of the number that the rule keeps beside it; None if one is unknown."""
    weights, tags = preset.numbers.weights, preset.numbers.tags
    if weights is None or (demand.synapse_traces and tags is None):
        return None
    return weights.bits + (tags.bits if tags is not None and demand.synapse_traces else 0)


def _on_cores(demand: Demand, limits: Limits) -> tuple[Population, ...]:
    """The populations that lie on cores: without the readout where that has units of its own."""
    if limits.outputs is None:
        return demand.populations
    last = len(demand.populations) - 1
    hidden = demand.populations[:-1]
    return tuple(p._replace(targets=tuple(t for t in p.targets if t != last)) for p in hidden)


def _room(limits: Limits, width: int | None) -> Room:
    assert limits.neurons_per_core is not None  # asked before
    memory = limits.synapse_bytes_per_core

    def value(limit: Limit | None) -> int | None:
        return None if limit is None else int(limit.value)

    return Room(
        int(limits.neurons_per_core.value),
        None if memory is None else 8 * int(memory.value),
        width,
        value(limits.axons_in_per_core),
        value(limits.axons_out_per_core),
    )


def _memory(synapses: int, width: int | None, limits: Limits, least: bool = False) -> Check:
    """Synapses of a core against its memory; what else lies in the memory of software is not in."""
    what, limit = "memory of a core", limits.synapse_bytes_per_core or limits.bytes_per_core
    if width is None:
        there = UNKNOWN if limit is None else f"{limit.value:,} bytes"
        source = "" if limit is None else limit.source
        told = f"{'at least ' if least else ''}{synapses:,} synapses of unknown width"
        return Check(what, told, there, None, source)
    needed = ceil(synapses * width / 8)
    if least or limits.synapse_bytes_per_core is None:
        return at_least(what, needed, limit, " bytes")
    return count(what, needed, limit, " bytes")


def _on_one(populations: tuple[Population, ...], demand: Demand, limits: Limits) -> list[Check]:
    """A chip of one core: whose lines are all there are, and whose memory is the chip's."""
    sources = [p.neurons for p in populations if p.targets]
    return [
        count("axons into a core", demand.inputs + sum(sources), limits.axons_in_per_core),
        count("axons out of a core", sum(sources), limits.axons_out_per_core),
        count("destinations of a neuron", int(bool(sources)), limits.destinations_per_neuron),
    ]


def _bounds(
    populations: tuple[Population, ...],
    demand: Demand,
    limits: Limits,
    width: int | None,
    found: Placement | None,
) -> list[Check]:
    """No placement: what a single neuron takes, and what all together do."""
    needed = [1]
    if limits.neurons_per_core is not None:
        needed.append(ceil(sum(p.neurons for p in populations) / limits.neurons_per_core.value))
    if limits.synapse_bytes_per_core is not None and width is not None:
        bits = width * sum(p.neurons * p.synapses for p in populations)
        needed.append(ceil(bits / (8 * limits.synapse_bytes_per_core.value)))
    cores = at_least("cores", max(needed), limits.cores)
    if found is not None and cores.fits is None:
        cores = cores._replace(needed=f"{cores.needed}, {sum(found.cores):,} layer by layer")
    targets = max(len(p.targets) for p in populations)
    return [
        cores,
        _memory(max(p.synapses for p in populations), width, limits, least=True),
        at_least("axons into a core", max(p.fan_in for p in populations), limits.axons_in_per_core),
        at_least("axons out of a core", targets, limits.axons_out_per_core),
        at_least("destinations of a neuron", targets, limits.destinations_per_neuron),
    ]
