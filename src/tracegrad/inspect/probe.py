"""Probe: a small copy of a network, with the same layers, neurons and readout."""

from typing import Any

import equinox as eqx
import jax

from tracegrad.model import AbstractConnection, Dense, Layer, Network

SIZE = 2  # the fewest neurons among which one can tell its own from the others


def probe(network: Network, size: int = SIZE) -> Network:
    """The network with at most `size` input lines, neurons a layer and outputs.

    Neuron parameters keep their first values; weights are drawn anew by `init`.
    """
    inputs = min(size, network.layers[0].input.inputs)
    layers = []
    for layer in network.layers:
        n = min(size, layer.input.outputs)
        recurrent = None if layer.recurrent is None else _dense(layer.recurrent, n, n)
        layers.append(
            Layer(_dense(layer.input, inputs, n), _cut(layer.neuron, n), recurrent, layer.autapses)
        )
        inputs = n
    read = sum(layer.input.outputs for layer in layers) if network.readout.all_layers else inputs
    outputs = min(size, network.readout.input.outputs)
    readout = eqx.tree_at(
        lambda r: (r.input, r.neuron),
        network.readout,
        (_dense(network.readout.input, read, outputs), _cut(network.readout.neuron, outputs)),
        is_leaf=lambda node: node is None,
    )
    return Network(*layers, readout=readout, dt=network.dt)


def _dense(connection: AbstractConnection, inputs: int, outputs: int) -> Dense:
    return Dense(inputs, outputs, connection.gain, connection.biased)


def _cut(neuron: Any, size: int) -> Any:
    """The neuron with one value for each of the first `size` neurons, where it has one for each."""
    return jax.tree.map(lambda a: a[:size] if a.ndim else a, neuron)
