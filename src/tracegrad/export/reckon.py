"""ReckOn: a library that learns by the chip's own rule in place of a gradient."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from tracegrad.errors import UsageError
from tracegrad.export.account import readme
from tracegrad.export.device import Block, Device, Lesson, device
from tracegrad.export.draws import Generator, generators
from tracegrad.export.folder import Written, write_files
from tracegrad.export.model import Model, running
from tracegrad.export.parts import Macros, found_in
from tracegrad.export.refusals import check
from tracegrad.export.remembered import Remembered
from tracegrad.export.source import source, vector
from tracegrad.export.uses import Uses
from tracegrad.learn.rules import eprop
from tracegrad.model.lif import LIF
from tracegrad.model.network import Network
from tracegrad.substrate.reckon import SIGNAL, TRACE, Reckon
from tracegrad.substrate.reckon_learner import (
    ROUNDING,
    UPDATES,
    ReckonLearner,
    ReckonState,
    reckon_learner,
)
from tracegrad.substrate.rounding import Nearest
from tracegrad.substrate.substrate import Substrate

NAME = "reckon"  # what the rule is called on the command line
# Shifts with which an untrained network learns digits: see the tests.
USUAL = Reckon(trace_shift=7, signal_shift=8, output_shift=4, boost=9, readout_boost=9)
FILES = {
    "traces.h": "presynaptic_traces.h",
    "rule.h": "reckon.h",
    "signal.h": "reckon_signal.h",
    "error.h": "hard_sigmoid.h",
}
LEARNS = """a weight goes one bit up or
down where the product of signal, slope and trace reaches a draw of a 32-bit shift register."""


class ReckonDevice(NamedTuple):
    """A learner by ReckOn's rule and its state, beside the device whose neurons it has."""

    base: Device
    learner: ReckonLearner
    state: ReckonState


def usual_rule(network: Network, substrate: Substrate) -> Reckon:
    """ReckOn's rule with the levels of the slope around the neurons' threshold."""
    neuron: Any = network.layers[0].neuron
    states: Any = substrate.states
    if type(neuron) is not LIF or states is None:
        return USUAL  # which `reckon_device` refuses by name
    v = float(np.max(np.asarray(neuron.v_threshold.value))) * 2.0**states.format.fraction
    first, second, third, fourth = (round(v * quarter / 4) for quarter in (1, 3, 5, 7))
    return replace(USUAL, thresholds=(first, second, third, fourth))


def reckon_device(network: Network, substrate: Substrate, rule: Reckon) -> ReckonDevice:
    """A trained network that goes on learning by ReckOn's rule; `UsageError` if it cannot."""
    base = device(network, Lesson(eprop(), substrate, 1.0))  # its rule and rate are not used
    check(base)
    states, signals, traces = (
        getattr(substrate, name).format for name in ("states", "signals", "traces")
    )
    if states.fraction > 11 or signals.bits != SIGNAL.bits or traces.bits != TRACE.bits:
        raise UsageError(
            f"ReckOn has states of at most 11 bits behind the point, signals of {SIGNAL.bits} bits "
            f"and traces of {TRACE.bits}, and {substrate.name} has others. Use --substrate reckon."
        )
    try:
        learner, state = reckon_learner(base.learner.network, substrate, rule)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return ReckonDevice(base, learner, state)


def reckon_model(made: ReckonDevice) -> Model:
    """Everything of a device as whole numbers."""
    parts = found_in(made.base)
    names = ("input", "recurrent", "readout")
    arrays = {n: np.asarray(k) for n, k in zip(names, made.state.weights, strict=True)}
    macros = running(parts) | _draws(made.state) | _rule(made.learner.rule)
    return Model(FILES | {"cell.h": parts.cell.file}, macros, parts.points, arrays)


def _draws(state: ReckonState) -> Macros:
    """The two registers; every array draws in its turn."""
    none = Generator(Nearest(), (), Uses({}, []))
    sizes = [[array.size for array in arrays] for arrays in (state.traces, state.weights)]
    found = {
        "TRACE": Generator(ROUNDING, state.rounding, Uses({}, sizes[0])),
        "SIGNAL": none,
        "WEIGHT": Generator(UPDATES, state.updates, Uses({}, sizes[1])),
    }
    return generators(found) | {"GATED": 0}


def _rule(rule: Reckon) -> Macros:
    """The rule's own numbers."""
    return {
        "FILTERED": 0,
        "SIGNAL_LEAST": 0,
        "SIGNAL_SHIFT": 0,
        "LOUDER": rule.signal_shift,
        "OUTPUT_SHIFT": rule.output_shift,
        "RATE": rule.rate,
        "BOOST": rule.boost,
        "READOUT_BOOST": rule.readout_boost,
        "THRESHOLDS": list(rule.thresholds),
        "LEVELS": list(rule.levels),
        "TRACE_DECAY": rule.decay,
        "TRACE_SHIFT": rule.trace_shift,
        "TRACE_GAIN": 8 << rule.trace_shift,
        "READOUT_TRACE_DECAY": rule.kappa,
        "READOUT_TRACE_GAIN": 2 << rule.trace_shift,
    }


def reckon_remembered(made: ReckonDevice, state: ReckonState) -> Remembered:
    """What a state holds, in the order of the C structure."""
    states: Any = made.base.substrate.states
    fine = 2.0**states.format.fraction
    hidden, readout = state.neurons
    rows = jnp.stack([hidden.s[name][0] for name in sorted(hidden.s)])
    found = {
        "rows": jnp.round(rows * fine).astype(jnp.int32),
        "spikes": hidden.z[0].astype(jnp.int32),
        "outputs": jnp.round(readout.z[0] * fine).astype(jnp.int32),
    }
    names = ("input", "recurrent", "readout")
    found |= {f"weights.{n}": k for n, k in zip(names, state.weights, strict=True)}
    return Remembered(found | {f"traces.{n}": k for n, k in state.traces._asdict().items()})


def follow_reckon(made: ReckonDevice, block: Block, seen: Any) -> tuple[ReckonState, Any]:
    """The state after a block, and `seen(state)` after every step of it."""

    def body(state: ReckonState, now: tuple[Array, Array]) -> tuple[ReckonState, Any]:
        state = made.learner.step(state, *now)
        return state, seen(state)

    data = jnp.asarray(block.events, jnp.float64), jnp.asarray(block.labels, jnp.int32)
    run = jax.jit(lambda state, data: jax.lax.scan(body, state, data))
    return run(made.state, data)


def write_reckon(made: ReckonDevice, block: Block, path: Path) -> Written:
    """Write everything; the block is the test vector. The folder must not exist."""
    found = reckon_model(made)
    files = source(made.base, found)
    _, digests = follow_reckon(made, block, lambda state: reckon_remembered(made, state).digest)
    files["vector.h"] = vector(block, np.asarray(digests))
    return write_files(files, path, lambda size: readme(found, size, block.steps, LEARNS))
