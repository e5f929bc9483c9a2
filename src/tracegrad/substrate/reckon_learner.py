"""A network that learns by ReckOn's rule: neurons in the substrate's numbers, weights of 8 bits.

Neurons and readout are the library's, held in the substrate's formats; traces, signals, errors and
weights are the chip's whole numbers. The chip draws for 16 weights at once: here one register
serves the traces and one the weights, an element a step, in the order of the arrays.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from tracegrad.model.connection import Dense
from tracegrad.model.lif import LIF
from tracegrad.model.network import Network
from tracegrad.substrate.reckon import (
    DRAW,
    ONE,
    POINT,
    READOUT_DRAW,
    READOUT_POINT,
    WEIGHT,
    Layer8,
    Reckon,
)
from tracegrad.substrate.rounding import Lfsr
from tracegrad.substrate.substrate import Placed, Substrate

ROUNDING = Lfsr(width=15, taps=(15, 14), seed=0x1234)
UPDATES = Lfsr(width=32, taps=(32, 22, 2, 1), seed=1)
PATHS = ("0.layers.0.input.weight", "0.layers.0.recurrent.weight", "0.readout.input.weight")
# Bits of a draw for a trace and for a weight that the readout's draw has not.
TRACE_UNUSED, WEIGHT_UNUSED = POINT - READOUT_POINT, DRAW - READOUT_DRAW


class LineTraces(NamedTuple):
    """A trace for each line into the layer, and two for each of its neurons."""

    input: Int[Array, " m"]
    recurrent: Int[Array, " n"]
    readout: Int[Array, " n"]


class ReckonState(NamedTuple):
    """All that changes: weights, traces, neurons of a single stream, and the two registers."""

    weights: Layer8
    traces: LineTraces
    neurons: Any  # a `State`
    rounding: UInt32[Array, ""]
    updates: UInt32[Array, ""]


class ReckonLearner(NamedTuple):
    """Learns a class at every step that has one, by `rule`, from a single stream of events.

    The network is `placed` on the substrate: its weights are whole numbers of a least significant
    bit each. Example:
    `learner, state = reckon_learner(network, substrate("reckon"), Reckon())`.
    """

    network: Network
    placed: Placed
    substrate: Substrate
    rule: Reckon

    def step(self, state: ReckonState, x: Float[Array, " m"], label: Int[Array, ""]) -> ReckonState:
        """A time step: neurons, errors, signals, traces, weights; label -1: no class, no change."""
        circuit = self.computing(state.weights).discretise()
        first = circuit.stages[0].feedforward(x[None])
        hidden, readout = circuit.step(state.neurons, x[None], first).after
        v, y, now = self._whole(hidden.s["v"]), self._whole(readout.z), hidden.z[0]
        target = ONE * (jnp.arange(y.size, dtype=jnp.int32) == label).astype(jnp.int32)
        error = jnp.where(label >= 0, self.rule.error(y, target), 0)
        signal = self.rule.signal(error, state.weights.readout)
        lines = LineTraces(x, state.neurons[0].z[0], now)
        rounding, traces = self._traces(state, lines)
        updates, weights = self._weights(state, (signal * self.rule.slope(v), error), traces)
        return ReckonState(weights, traces, (hidden, readout), rounding, updates)

    def computing(self, weights: Layer8) -> Network:
        """The network that computes with such weights."""
        lsb = self.placed.weights.lsb
        pairs = zip(weights, (lsb[path] for path in PATHS), strict=True)
        values = [k.astype(worth.dtype) * worth for k, worth in pairs]
        stored = eqx.tree_at(_matrices, self.network, values)
        return self.substrate.read(stored, self.placed)

    def _whole(self, values: Float[Array, "1 n"]) -> Int[Array, " n"]:
        states: Any = self.substrate.states
        return jnp.round(values[0] * 2.0**states.format.fraction).astype(jnp.int32)

    def _traces(self, state: ReckonState, lines: LineTraces) -> tuple[Array, LineTraces]:
        """The register and the traces after a step; `lines` are the events that arrived."""
        old, rule = state.traces, self.rule
        register, words = ROUNDING.words(state.rounding, sum(a.size for a in old))
        a, b, c = _split(words, old)
        arrived = [events.astype(jnp.int32) for events in lines]
        return register, LineTraces(
            rule.trace(old.input, arrived[0], a),
            rule.trace(old.recurrent, arrived[1], b),
            rule.readout_trace(old.readout, arrived[2], c >> jnp.uint32(TRACE_UNUSED)),
        )

    def _weights(
        self, state: ReckonState, factors: tuple[Array, Array], traces: LineTraces
    ) -> tuple[Array, Layer8]:
        """The register and the weights after a step."""
        old, rule, (hidden, error) = state.weights, self.rule, factors
        register, words = UPDATES.words(state.updates, sum(a.size for a in old))
        a, b, c = _split(words, old)
        recurrent = rule.update(old.recurrent, hidden, traces.recurrent, b)
        return register, Layer8(
            rule.update(old.weight, hidden, traces.input, a),
            rule.without_diagonal(recurrent),
            rule.readout_update(old.readout, error, traces.readout, c >> jnp.uint32(WEIGHT_UNUSED)),
        )


def reckon_learner(
    network: Network, substrate: Substrate, rule: Reckon
) -> tuple[ReckonLearner, ReckonState]:
    """A network on the substrate, and its state at the start; traces decay as its neurons do.

    `ValueError` for what ReckOn has not: its networks have one recurrent layer of LIF, dense, with
    a leaky readout.
    """
    check(network, substrate, rule)
    stored, _, placed = substrate.place(network, (), jax.random.key(0))
    circuit = substrate.read(stored, placed).discretise()
    alpha, kappa = (_shared(circuit.stages[k].coefficients["alpha"]) for k in (0, 1))
    rule = replace(rule, decay=round(alpha * 2**POINT), kappa=round(kappa * 2**READOUT_POINT))
    lsb = placed.weights.lsb
    whole = (jnp.round(w / lsb[path]) for w, path in zip(_matrices(stored), PATHS, strict=True))
    below, recurrent, readout = (k.astype(jnp.int32) for k in whole)
    sizes = (below.shape[1], recurrent.shape[0], recurrent.shape[0])
    state = ReckonState(
        Layer8(below, rule.without_diagonal(recurrent), readout),
        LineTraces(*(jnp.zeros(size, jnp.int32) for size in sizes)),
        circuit.rest(1),
        ROUNDING.start(jax.random.key(0)),
        UPDATES.start(jax.random.key(0)),
    )
    return ReckonLearner(stored, placed, substrate, rule), state


def check(network: Network, substrate: Substrate, rule: Reckon) -> None:
    """`ValueError` for the first thing that ReckOn has not."""
    layer: Any = network.layers[0]
    connections = (layer.input, layer.recurrent, network.readout.input)
    if len(network.layers) != 1 or not all(type(c) is Dense for c in connections):
        raise ValueError(
            "ReckOn has one recurrent layer with dense connections, got another network. Give its "
            "layer a Dense for its own spikes too."
        )
    if type(layer.neuron) is not LIF:
        raise ValueError(f"ReckOn has LIF neurons, got {type(layer.neuron).__name__}. Use LIF().")
    largest = network.readout.input.outputs * ONE * -WEIGHT.low << rule.signal_shift
    if largest >= 2**31:
        raise ValueError(
            f"A signal before its shift must fit 32 bits, and may reach {largest:,}. Lower "
            f"signal_shift, {rule.signal_shift}."
        )
    memory = substrate.weights
    if memory is None or memory.format != WEIGHT or substrate.states is None:
        raise ValueError(
            f"ReckOn's rule changes weights of 8 bits, and {substrate.name} has others. Use the "
            "substrate reckon."
        )


def _shared(decays: Float[Array, " n"]) -> float:
    if bool(jnp.any(decays != decays[0])):
        raise ValueError("ReckOn's traces have one decay, and the neurons several. Give them one.")
    return float(decays[0])


def _matrices(network: Any) -> list[Any]:
    layer = network.layers[0]
    return [layer.input.weight, layer.recurrent.weight, network.readout.input.weight]


def _split(words: UInt32[Array, " _"], like: Any) -> list[Array]:
    """The words of each array, in its shape."""
    ends = np.cumsum([a.size for a in like])[:-1]
    return [w.reshape(a.shape) for w, a in zip(jnp.split(words, ends), like, strict=True)]
