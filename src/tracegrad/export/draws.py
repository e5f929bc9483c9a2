"""Draws: the generators of random numbers at their start, and what a step uses of each."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from tracegrad.errors import UsageError
from tracegrad.export.device import Device
from tracegrad.export.jumps import jump, mask
from tracegrad.export.parts import Macros
from tracegrad.export.uses import Uses, trace_uses
from tracegrad.run.learner_state import stream_of
from tracegrad.substrate.rounding import Lfsr, Stochastic
from tracegrad.substrate.weights import by_name

MATRICES = {
    "0.layers.0.input.weight": "INPUT_WEIGHT",
    "0.layers.0.recurrent.weight": "RECURRENT_WEIGHT",
    "0.readout.input.weight": "READOUT_WEIGHT",
}
NO_KEY = "{0u, 0u}"
NO_REGISTER = {"WIDTH": 0, "TAPS": "0u", "JUMPS": np.zeros(1, np.int64)}


class Generator(NamedTuple):
    """How numbers are drawn, the generator's state, and the draws of a step."""

    rounding: Any
    state: Any
    uses: Uses


def draws(device: Device) -> Macros:
    """The generators of traces, signals, weights and of the chance of a change."""
    stream = stream_of(device.state)
    rule: Any = device.learner.rule
    neurons = device.learner.network.layers[0].input.outputs
    memory: Any = device.substrate.weights
    placed, changes = device.state.placed.weights, _weight_uses(device)
    found = {
        "TRACE": Generator(
            rule.influence.number.rounding, stream.memory.draws, trace_uses(stream.memory.inside)
        ),
        "SIGNAL": Generator(
            rule.signal.number.rounding,
            stream.signal.draws if rule.signal.remembers else (),
            Uses({}, [neurons]),
        ),
        "WEIGHT": Generator(memory.update.rounding, placed.draws, changes),
        "GATE": Generator(Stochastic(), placed.gate, changes),
    }
    made: Macros = {
        "GATED": int(memory.chance < 1),
        "GATE_LEVEL": math.ceil(memory.chance * 2**24),
    }
    places = {**found["TRACE"].uses.places, **changes.places}
    return made | generators(found) | {f"DRAWS_{name}": place for name, place in places.items()}


def generators(found: dict[str, Generator]) -> Macros:
    """The start of every generator by name, and for a register its jumps."""
    made: Macros = {"LFSR": int(any(isinstance(g.rounding, Lfsr) for g in found.values()))}
    for name, generator in found.items():
        made |= {f"{name}_{key}": value for key, value in _generator(generator).items()}
    return made


def _generator(generator: Generator) -> Macros:
    rounding, state, uses = generator
    if not rounding.draws:
        return {"KEY": NO_KEY, "USES": 0} | NO_REGISTER
    if not isinstance(rounding, Lfsr):
        return {"KEY": _key(state), "USES": len(uses.sizes)} | NO_REGISTER
    register = int(np.asarray(state).reshape(()))
    sizes = [1] * len(uses.sizes) if rounding.shared else uses.sizes
    places = np.concatenate([[0], np.cumsum(sizes, dtype=int)])
    return {
        "KEY": f"{{{register}u, 0u}}",
        "USES": len(uses.sizes),
        "WIDTH": rounding.width,
        "TAPS": f"{mask(rounding)}u",
        "JUMPS": np.concatenate([jump(rounding, int(steps)) for steps in places]),
    }


def _key(counter: Any) -> str:
    if jax.random.key_impl(counter.key) != jax.random.key_impl(
        jax.random.key(0, impl="threefry2x32")
    ):
        raise UsageError("The device's keys are threefry2x32's. Set jax_default_prng_impl to it.")
    first, second = np.asarray(jax.random.key_data(counter.key)).reshape(-1)
    return f"{{{first}u, {second}u}}"


def _weight_uses(device: Device) -> Uses:
    """A draw for every weight, matrix after matrix."""
    sizes = {name: leaf.size for name, leaf in by_name((device.state.network,)) if name in MATRICES}
    places: dict[str, Any] = {MATRICES[name]: index for index, name in enumerate(sizes)}
    return Uses(places, list(sizes.values()))
