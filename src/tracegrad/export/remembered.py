"""Remembered: all that a device remembers, as whole numbers in the order of the C structure."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from tracegrad.export.device import Device
from tracegrad.learn.influence import Trace
from tracegrad.model.neuron import CURRENT
from tracegrad.run.learner_state import LearnerState, stream_of
from tracegrad.substrate.number import Number
from tracegrad.substrate.update import Accumulate
from tracegrad.substrate.weights import by_name

MATRICES = {
    "0.layers.0.input.weight": "input",
    "0.layers.0.recurrent.weight": "recurrent",
    "0.readout.input.weight": "readout",
}
FACTOR = 2654435761  # an odd number whose multiples spread over 32 bits (Knuth)


class Remembered(NamedTuple):
    """Arrays of whole numbers by the name of the field in C, in its order."""

    fields: dict[str, Int[Array, "..."]]

    @property
    def digest(self) -> UInt32[Array, ""]:
        """The sum that `tg_digest` makes of them; any single difference changes it."""
        total = jnp.zeros((), jnp.uint32)
        for values in self.fields.values():
            flat = values.reshape(-1).astype(jnp.int32).astype(jnp.uint32)
            odd = 2 * jnp.arange(flat.size, dtype=jnp.uint32) + jnp.uint32(1)
            part = jnp.sum(flat * (jnp.uint32(FACTOR) * odd), dtype=jnp.uint32)
            total = total * jnp.uint32(31) + part
        return total


def remembered(device: Device, state: LearnerState) -> Remembered:
    """What a state holds."""
    hidden, readout = stream_of(state).state
    names = sorted(hidden.s)
    found = {
        "rows": _whole(jnp.stack([hidden.s[name][0] for name in names]), device.substrate.states),
        "spikes": hidden.z[0].astype(jnp.int32),
        "outputs": _whole(readout.z[0], device.substrate.states),
    }
    found |= {f"weights.{name}": k for name, k in weights(device, state).items()}
    found |= {f"kept.{name}": k for name, k in _kept(device, state).items()}
    found |= {f"traces.{name}": value for name, value in _traces(device, state, names).items()}
    return Remembered(found)


def weights(device: Device, state: LearnerState) -> dict[str, Int[Array, "n m"]]:
    """The stored weights by matrix, in least significant bits."""
    values, lsb = dict(by_name((state.network,))), state.placed.weights.lsb
    return {
        name: jnp.round(values[path] / lsb[path]).astype(jnp.int32)
        for path, name in MATRICES.items()
        if path in values
    }


def _kept(device: Device, state: LearnerState) -> dict[str, Int[Array, "n m"]]:
    """What accumulators hold by matrix, in their least significant bits."""
    weights: Any = device.substrate.weights
    kept = state.placed.weights.kept
    if not isinstance(weights.update, Accumulate):
        return {}
    fine = 2.0**weights.update.format.fraction
    return {
        name: jnp.round(kept[path] * fine).astype(jnp.int32)
        for path, name in MATRICES.items()
        if path in kept
    }


def _traces(device: Device, state: LearnerState, names: list[str]) -> dict[str, Array]:
    hidden, readout = stream_of(state).memory.inside
    if not isinstance(hidden, Trace):
        found = {"input": hidden.pre.weight[CURRENT]}
        if hidden.pre.recurrent is not None:
            found["recurrent"] = hidden.pre.recurrent[CURRENT]
        found["readout"] = readout.pre.weight[CURRENT]
        return {name: _whole(a[0], device.substrate.traces) for name, a in found.items()}
    rows = [hidden.rows[name] for name in names]
    found = {"input": jnp.stack([row.weight[CURRENT][0] for row in rows])}
    own = [row.recurrent[CURRENT][0] for row in rows if row.recurrent is not None]
    if own:
        found["recurrent"] = jnp.stack(own)
    found["readout"] = readout.rows["v"].weight[CURRENT][0]
    for tap in hidden.taps.values():
        found["input_filtered"] = tap.weight[CURRENT][0]
        if tap.recurrent is not None:
            found["recurrent_filtered"] = tap.recurrent[CURRENT][0]
    return {name: _whole(a, device.substrate.traces) for name, a in found.items()}


def _whole(values: Array, number: Number | None) -> Array:
    """The whole numbers of held values."""
    assert number is not None  # see `refusals`
    return jnp.round(values * 2.0**number.format.fraction).astype(jnp.int32)
