"""Random architectures for property tests: any stack of neurons, alive on its input.

Each number is a network. They are drawn independently and every kind of neuron comes in turn, where
a search for examples would repeat itself with small changes.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import tracegrad as tg
from claims import ALL_RESETS
from numpy_program import Program
from tracegrad.learn.plans.plan import Data
from tracegrad.model.neuron import AbstractNeuron

BLOCK, BLOCKS = 3, 2  # a sequence is two blocks, so that traces are carried over a boundary
STEPS = BLOCK * BLOCKS
DRAWS = 200
HARD = (tg.ZeroReset(), tg.ZeroReset(detached=True))
SHORT = {"tau_mem": 4e-3, "tau_adapt": 3e-3}  # a memory of some steps of 1 ms
NEURONS = {
    "lif": [
        *(tg.LIF(tau_mem=4e-3, reset=reset) for reset in ALL_RESETS),
        tg.LIF(tau_mem=4e-3, normalised=True),
    ],
    "cuba": [
        tg.CubaLIF(tau_mem=4e-3, tau_syn=2e-3, reset=reset, normalised=index % 2 == 0)
        for index, reset in enumerate(ALL_RESETS)
    ],
    "cuba_old": [
        tg.CubaLIF(4e-3, 2e-3, reset=reset, old_current=True, normalised=index % 2 == 1)
        for index, reset in enumerate(ALL_RESETS)
    ],
    "alif": [
        tg.ALIF(**SHORT, reset=reset, refractory_steps=steps)
        for reset in ALL_RESETS
        for steps in (0, 2)
    ],
    "adex": [tg.AdEx(**SHORT, reset=reset) for reset in HARD],
    "izhikevich": [tg.Izhikevich(tau_adapt=3e-3, reset=reset) for reset in HARD],
    "resonate": [
        tg.ResonateAndFire(**SHORT, omega=200.0, tau_reset=5e-3, reset=reset)
        for reset in (tg.NoReset(), *ALL_RESETS)
    ],
    "two": [tg.TwoCompartment(4e-3, 4e-3, reset=reset) for reset in ALL_RESETS],
    "li": [tg.LI(tau_mem=3e-3), tg.LI(tau_mem=3e-3, normalised=False)],
    "tanh": [tg.Tanh(tau_mem=3e-3)],
    "gru": [tg.GRU()],
    "lstm": [tg.LSTM()],
    "lru": [tg.LRU(tau_mem=4e-3, omega=200.0)],
}
READOUTS = (
    tg.LI(tau_mem=3e-3),
    tg.LI(tau_mem=3e-3, normalised=False),
    tg.Memoryless(),
    tg.Integrator(),
    tg.DoubleExponential(tau_rise=2e-3, tau_decay=4e-3),
)


class Population(NamedTuple):
    """A layer; `own` gives each of its neurons parameters of its own."""

    neuron: AbstractNeuron
    size: int
    recurrent: bool
    autapses: bool
    bias: bool
    own: bool


class Architecture(NamedTuple):
    """A network and what it is shown."""

    layers: list[Population]
    readout: AbstractNeuron
    all_layers: bool
    bias: bool
    inputs: int
    outputs: int
    batch: int
    ragged: bool


class Case(NamedTuple):
    """A network with its data; `packed` is the same with padding last: xs, ys, weight, windows."""

    net: tg.Network
    data: Data
    packed: tuple[np.ndarray, ...]
    rates: list[float]


def draw(number: int) -> tuple[Architecture, np.random.Generator]:
    """Depth 1 to 3, any neurons, any readout, one to four of everything; and for its numbers."""
    rng = np.random.default_rng(number)
    kinds = list(NEURONS.values())

    def flag(chance: float = 0.5) -> bool:
        return bool(rng.random() < chance)

    def population(kind: list[AbstractNeuron]) -> Population:
        neuron = kind[rng.integers(len(kind))]
        return Population(neuron, int(rng.integers(1, 5)), flag(0.7), flag(), flag(), flag())

    others = rng.integers(len(kinds), size=rng.choice(3, p=(0.4, 0.4, 0.2)))
    layers = list(map(population, [kinds[number % len(kinds)], *(kinds[i] for i in others)]))
    rng.shuffle(layers)
    sizes = (int(rng.integers(1, most + 1)) for most in (4, 3, 2))
    readout = READOUTS[rng.integers(len(READOUTS))]
    return Architecture(layers, readout, flag(), flag(), *sizes, flag()), rng


def build(architecture: Architecture, rng: np.random.Generator) -> Case:
    """The network with weights for which every layer is alive, and random data."""
    data = _data(architecture, rng)
    net = _parameters(architecture, _drawn(_blank(architecture), rng), rng)
    simulate = Program(lambda net, xs, valid: net(xs, valid=valid)[0], net, data.xs, data.valid)
    for _ in range(DRAWS):
        outputs = simulate(net, data.xs, data.valid)
        rates = [float(np.mean(np.abs(z[data.valid]))) for z in outputs[:-1]]
        dead = [
            index
            for index, (layer, rate) in enumerate(zip(net.layers, rates, strict=True))
            if not 0.05 < rate < (0.8 if spikes(layer) else 10.0)
        ]
        if not dead:
            return Case(net, data, _packed(data), rates)
        at = rng.integers(dead[0] + 1)  # the first that is dead, or one that feeds it
        net = eqx.tree_at(lambda net, at=at: net.layers[at], net, _drawn(net.layers[at], rng))
    raise AssertionError(f"{DRAWS} draws of weights found no live network of {architecture}")


def spikes(layer) -> bool:
    """Whether the neurons of a layer spike."""
    return "surrogate" in vars(layer.neuron)


def _blank(architecture: Architecture) -> tg.Network:
    layers, below = [], architecture.inputs
    for layer in architecture.layers:
        size, listens = layer.size, bool(layer.neuron.recurrent_ports)
        recurrent = tg.Dense(size, size) if layer.recurrent and listens else None
        connection = tg.Dense(below, size, bias=layer.bias)
        layers.append(tg.Layer(connection, layer.neuron, recurrent, layer.autapses))
        below = size
    read = sum(layer.size for layer in architecture.layers) if architecture.all_layers else below
    readout = tg.Readout.of(
        architecture.readout, read, architecture.outputs, architecture.bias, architecture.all_layers
    )
    return tg.Network(*layers, readout=readout, dt=1e-3)


def _drawn(tree, rng: np.random.Generator):
    """Weights for every connection of `tree`, of random scale and mean."""

    def is_connection(node) -> bool:
        return isinstance(node, tg.Dense)

    def draw(node):
        if not is_connection(node):
            return node
        lead = () if node.ports == 1 else (node.ports,)
        scale = np.exp(rng.uniform(0.0, 2.5)) / node.inputs**0.5
        weight = scale * (rng.normal(size=(*lead, node.outputs, node.inputs)) + rng.uniform())
        bias = rng.uniform(0.0, 0.5, (*lead, node.outputs)) if node.biased else None
        return eqx.tree_at(
            lambda d: (d.weight, d.bias), node, (weight, bias), is_leaf=lambda x: x is None
        )

    return jax.tree.map(draw, tree, is_leaf=is_connection)


def _parameters(architecture: Architecture, net: tg.Network, rng: np.random.Generator):
    """Neuron parameters near the given ones, one for each neuron where it has its own."""

    def near(neuron, shape):
        return jax.tree.map(lambda leaf: np.asarray(leaf) + 0.1 * rng.normal(size=shape), neuron)

    shapes = [(layer.size,) if layer.own else () for layer in architecture.layers]
    moved = [near(layer.neuron, shape) for layer, shape in zip(net.layers, shapes, strict=True)]
    moved.append(near(net.readout.neuron, ()))
    return eqx.tree_at(lambda n: [*(x.neuron for x in n.layers), n.readout.neuron], net, moved)


def _data(architecture: Architecture, rng: np.random.Generator) -> Data:
    """Input pulses, real targets, loss weights (some zero), and padding anywhere.

    The first sample begins at once; another may have no step in its first block.
    """
    shape = (STEPS, architecture.batch)
    pulses = rng.random((*shape, architecture.inputs)) < 0.6
    xs = pulses * rng.uniform(0.5, 1.5, pulses.shape)
    ys = rng.normal(size=(*shape, architecture.outputs))
    valid = np.ones(shape, bool)
    if architecture.ragged:
        valid = rng.random(shape) < 0.7
        valid[:BLOCK, 1:] &= rng.random(architecture.batch - 1) < 0.6
        valid[0, 0] = True
    weight = np.where(rng.random(shape) < 0.2, 0.0, rng.random(shape)) * valid
    return Data(np.where(valid[..., None], xs, 7.0), ys, weight, valid)


def _packed(data: Data) -> tuple[np.ndarray, ...]:
    """The same sequences with padding moved to the end, where nothing can depend on it."""
    order = np.argsort(~data.valid, axis=0, kind="stable")

    def pack(array):
        return np.take_along_axis(array, order.reshape(*order.shape, *(1,) * (array.ndim - 2)), 0)

    belongs = np.repeat(np.eye(BLOCKS), BLOCK, axis=1)[:, :, None] * data.valid
    windows = np.stack([pack(window) for window in belongs])
    return pack(data.xs), pack(data.ys), pack(data.weight), windows


def blocks(data: Data) -> Data:
    """A sequence cut into its blocks, along a new first axis."""
    return jax.tree.map(lambda a: jnp.reshape(a, (BLOCKS, BLOCK, *a.shape[1:])), data)
