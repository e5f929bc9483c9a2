"""Wiring: how many synapses a connection has, how wide they spread, and what shares a weight."""

from typing import Any, NamedTuple

import jax
import numpy as np

from tracegrad.model.abstract_connection import AbstractConnection
from tracegrad.model.connection import Dense


class Wiring(NamedTuple):
    """Synapses of all currents; the largest fan-in of a neuron's current and fan-out of a line.

    `shared`: a weight stands at several places, so that it has more synapses than one. `learns`:
    there is a weight to learn.
    """

    synapses: int
    fan_in: int
    fan_out: int
    shared: bool = False
    learns: bool = True


def wiring(connection: AbstractConnection) -> Wiring:
    """Count a connection's synapses; a tap on padding is none. O(synapses)."""
    lines, neurons = connection.inputs, connection.outputs
    if isinstance(connection, Dense):
        return Wiring(connection.ports * lines * neurons, lines, neurons)
    drawn = connection.init(jax.random.key(0))
    weight: Any = drawn.maps()[0]
    places = weight.fan_in().places.index
    there = places < lines
    synapses = int(there.sum())
    return Wiring(
        connection.ports * synapses,
        int(there.sum(axis=1).max()),
        int(np.bincount(places[there]).max()),
        shared=weight.weight.size < synapses,
        learns=bool(jax.tree.leaves(drawn)),
    )
