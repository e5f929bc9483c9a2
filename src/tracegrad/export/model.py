"""Model: all that the C library is made from, as whole numbers, with every sum shown exact."""

from typing import Any, NamedTuple

import jax
import numpy as np

from tracegrad.errors import UsageError
from tracegrad.export.cells import Bounds, Cell, Points, cell
from tracegrad.export.device import Device
from tracegrad.export.exact import exponent, require_exact, whole
from tracegrad.export.refusals import check
from tracegrad.export.remembered import weights
from tracegrad.export.slopes import slope_table
from tracegrad.export.uses import Uses, trace_uses
from tracegrad.learn.filter import Kappa
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.presynaptic import Presynaptic
from tracegrad.learn.signal import Random, Symmetric
from tracegrad.learn.signals.local_readout import LocalReadout
from tracegrad.run.learner_state import stream_of
from tracegrad.substrate.decays import HeldDecays
from tracegrad.substrate.number import Number

SHIFT_POINT = 15  # bits of 1 - 2^-d, d up to 15
MOST_EVENTS = 255  # that a line counts in a step
SIGNALS = {Symmetric: "symmetric.h", Random: "random.h", LocalReadout: "local_readout.h"}
Value = int | str | list | np.ndarray
Macros = dict[str, Any]  # a `Value` each


class Model(NamedTuple):
    """The C files to put together by the name they get there, and the macros they need."""

    files: dict[str, str]
    macros: Macros
    points: Points
    arrays: dict[str, np.ndarray]


class _Parts(NamedTuple):
    """What the constants are found from."""

    device: Device
    cell: Cell
    points: Points
    bounds: Bounds
    trace_bound: float
    lsb: dict[str, int]


def model(device: Device) -> Model:
    """Everything of a device as whole numbers; `UsageError` names what is not possible."""
    check(device)
    rule: Any = device.learner.rule
    influence, signal = rule.influence.influence, rule.signal.signal
    if type(signal) not in SIGNALS:
        raise UsageError(
            f"The device has the signals symmetric, random and local, got {type(signal).__name__}."
        )
    parts = _parts(device)
    arrays = {n: np.asarray(k) for n, k in weights(device, device.state).items()}
    macros: Macros = {**_sizes(device), **_numbers(device), **parts.cell.constants}
    macros |= _currents(parts) | _keys(device)
    if isinstance(influence, Block):
        macros |= _block(parts, influence)
        shapes = ("block_traces.h", "block.h")
    elif isinstance(influence, Presynaptic):
        macros |= _presynaptic(parts)
        shapes = ("presynaptic_traces.h", "presynaptic.h")
    else:
        raise UsageError(
            f"{rule.name} has no form in C: the device has block_diagonal, eprop, decolle, ottt. "
            "Choose one of them."
        )
    macros |= _signal(parts, signal)
    files = {"cell.h": parts.cell.file, "traces.h": shapes[0], "rule.h": shapes[1]}
    return Model(files | {"signal.h": SIGNALS[type(signal)]}, macros, parts.points, arrays)


def _parts(device: Device) -> _Parts:
    substrate: Any = device.substrate
    circuit = device.learner.deployed(device.state).discretise()
    lsb = {}
    for path, value in device.state.placed.weights.lsb.items():
        if np.ndim(value):
            raise UsageError("The device has one scale a matrix. Use scale = 'matrix'.")
        lsb[path] = -exponent(f"the scale of {path}", float(value))
    decays = substrate.decays
    held = isinstance(decays, HeldDecays)
    current = max(0, lsb["0.layers.0.input.weight"], lsb.get("0.layers.0.recurrent.weight", 0))
    points = Points(
        substrate.states.format.fraction,
        decays.number.format.fraction if held else SHIFT_POINT,
        substrate.slopes.format.fraction,
        substrate.traces.format.fraction,
        current,
    )
    stage: Any = circuit.stages[0]
    table = slope_table(stage.neuron.neuron.surrogate)
    bounds = Bounds(
        _reach(substrate.states),
        float(np.max(table)) * 2.0**-points.slope,
        _current_bound(device, lsb),
    )
    made = cell(stage, points, bounds)
    made.constants["SLOPES"] = len(table)
    return _Parts(device, made, points, bounds, _reach(substrate.traces), lsb)


def _reach(number: Number) -> float:
    """The largest magnitude a format holds."""
    return max(-number.format.low, number.format.high) * number.format.lsb


def _current_bound(device: Device, lsb: dict[str, int]) -> float:
    """The largest current: every line and neuron at its most, every weight at its end."""
    weights: Any = device.substrate.weights
    most = max(-weights.format.low, weights.format.high)
    network = device.learner.network
    lines = network.layers[0].input.inputs * MOST_EVENTS
    if lines * most >= 2**31:
        raise UsageError(f"{network.layers[0].input.inputs} lines are more than 32 bits can sum.")
    bound = lines * most * 2.0 ** -lsb["0.layers.0.input.weight"]
    recurrent = network.layers[0].recurrent
    if recurrent is None:
        return bound
    return bound + recurrent.inputs * most * 2.0 ** -lsb["0.layers.0.recurrent.weight"]


def _sizes(device: Device) -> Macros:
    network = device.learner.network
    layer = network.layers[0]
    states = stream_of(device.state).state[0].s
    return {
        "INPUTS": layer.input.inputs,
        "NEURONS": layer.input.outputs,
        "OUTPUTS": network.readout.input.outputs,
        "RECURRENT": int(layer.recurrent is not None),
        "AUTAPSES": int(layer.autapses),
        "ROWS": len(states),
    }


def _numbers(device: Device) -> Macros:
    """The formats, and the slopes."""
    substrate: Any = device.substrate
    made: Macros = {}
    for name in ("states", "slopes", "traces", "signals"):
        number = getattr(substrate, name)
        made[name.upper().removesuffix("S")] = _format(number.format, number.rounding)
        made[f"{name.upper().removesuffix('S')}_FRACTION"] = number.format.fraction
    update = substrate.weights.update
    made["WEIGHT"] = _format(substrate.weights.format, update.rounding)
    made["WEIGHT_ROUNDING"] = _rounding(update.rounding)
    made["WEIGHT_MOST"] = update.most or 0
    stage: Any = device.learner.deployed(device.state).discretise().stages[0]
    return made | {"SLOPE_TABLE": slope_table(stage.neuron.neuron.surrogate)}


def _format(format: Any, rounding: Any) -> str:
    wraps = int(type(format.overflow).__name__ == "Wrap")
    return f"((tg_format){{{_rounding(rounding)}, {wraps}, {format.low}, {format.high}}})"


def _rounding(rounding: Any) -> str:
    if not rounding.draws:
        return {"Nearest": "TG_NEAREST", "Floor": "TG_FLOOR"}[type(rounding).__name__]
    return "TG_CHANCE_SHARED" if rounding.shared else "TG_CHANCE"


def _currents(parts: _Parts) -> Macros:
    """How sums of weights become currents, of hidden neurons and of the readout."""
    points, lsb = parts.points, parts.lsb
    stages = parts.device.learner.deployed(parts.device.state).discretise().stages
    kappa = whole("the readout's decay", float(stages[1].coefficients["alpha"][0]), points.decay)
    read = lsb["0.readout.input.weight"]
    finest = points.decay + max(points.state, read)
    weights: Any = parts.device.substrate.weights
    most = max(-weights.format.low, weights.format.high)
    neurons = parts.device.learner.network.layers[0].input.outputs
    require_exact("an output", finest, parts.bounds.state + neurons * most * 2.0**-read)
    return {
        "KAPPA": kappa,
        "READOUT_GAIN": (1 << points.decay) - kappa,
        "DECAY_FRACTION": points.decay,
        "Y_FROM_Y": finest - points.decay - points.state,
        "Y_FROM_CURRENT": finest - points.decay - read,
        "Y_SHIFT": finest - points.state,
        "CURRENT_FROM_INPUT": points.current - lsb["0.layers.0.input.weight"],
        "CURRENT_FROM_RECURRENT": points.current
        - lsb.get("0.layers.0.recurrent.weight", points.current),
        "DISTANCE_SHIFT": parts.cell.emit_point - 2 * points.slope + points.state,
        "ONE_TRACE": 1 << points.trace,
    }


def _keys(device: Device) -> Macros:
    """The generators at their start, and what a step uses of each."""
    placed = device.state.placed.weights
    stream = stream_of(device.state)
    rule: Any = device.learner.rule
    uses = {
        "TRACE": trace_uses(stream.memory.inside) if rule.influence.number.draws else Uses({}, 0),
        "SIGNAL": Uses({}, int(rule.signal.number.draws)),
        "WEIGHT": _weight_uses(device),
    }
    draws: dict[str, Any] = {
        "TRACE": stream.memory.draws,
        "SIGNAL": stream.signal.draws if rule.signal.remembers else (),
        "WEIGHT": placed.draws,
    }
    made: Macros = {}
    for name, counter in draws.items():
        made[f"{name}_KEY"] = _key(counter)
        made[f"{name}_USES"] = uses[name].total
    places = {**trace_uses(stream.memory.inside).places, **uses["WEIGHT"].places}
    return made | {f"DRAWS_{name}": place for name, place in places.items()}


def _key(counter: Any) -> str:
    if counter == ():
        return "{0u, 0u}"
    if jax.random.key_impl(counter.key) != jax.random.key_impl(
        jax.random.key(0, impl="threefry2x32")
    ):
        raise UsageError("The device's keys are threefry2x32's. Set jax_default_prng_impl to it.")
    first, second = np.asarray(jax.random.key_data(counter.key)).reshape(-1)
    return f"{{{first}u, {second}u}}"


def _weight_uses(device: Device) -> Uses:
    names = ["INPUT_WEIGHT", "RECURRENT_WEIGHT", "READOUT_WEIGHT"]
    if device.learner.network.layers[0].recurrent is None:
        names.remove("RECURRENT_WEIGHT")
    update: Any = device.substrate.weights
    places: dict[str, Any] = {name: index for index, name in enumerate(names)}
    return Uses(places, len(names) if update.update.rounding.draws else 0)


def _shifts(parts: _Parts, hidden: int, readout: int) -> Macros:
    """How many bits a product of error and trace is finer than the weight it changes."""
    rate = -exponent("the learning rate", parts.device.rate)
    lsb = parts.lsb
    return {
        "INPUT_SHIFT": hidden + rate - lsb["0.layers.0.input.weight"],
        "RECURRENT_SHIFT": hidden + rate - lsb.get("0.layers.0.recurrent.weight", 0),
        "READOUT_SHIFT": readout + rate - lsb["0.readout.input.weight"],
    }


def _filtered(parts: _Parts) -> bool:
    return isinstance(parts.device.learner.rule.filter, Kappa)


def _block(parts: _Parts, influence: Block) -> Macros:
    points, cell, device = parts.points, parts.cell, parts.device
    signals: Any = device.substrate.signals
    self_weight = influence.self_weight and device.learner.network.layers[0].recurrent is not None
    weight_point = parts.lsb.get("0.layers.0.recurrent.weight", 0)
    echo_point = max(cell.reset_point, cell.drive_point + weight_point if self_weight else 0)
    own_point = max(cell.own_point, echo_point + cell.emit_point)
    echo = [value << echo_point for value in cell.echo]
    if influence.reset:
        echo[cell.reset_row] -= cell.reset << (echo_point - cell.reset_point)
    bound, slope = parts.trace_bound, _emission_bound(parts)
    largest = max(abs(e) for e in echo) * 2.0**-echo_point
    if self_weight:
        weights: Any = device.substrate.weights
        largest += max(-weights.format.low, weights.format.high) * 2.0**-weight_point
    reach = bound * cell_rows(cell) * (1 + largest * slope) + MOST_EVENTS
    require_exact("a trace", own_point + points.trace, reach)
    met = cell_rows(cell) * slope * bound
    finest = points.decay + cell.emit_point + points.trace
    require_exact("a filtered trace", finest, bound + met)
    filtered = _filtered(parts)
    meets = points.trace + (0 if filtered else cell.emit_point)
    reached = _reach(signals) * (bound if filtered else met)
    require_exact("a weight change", signals.format.fraction + meets, reached)
    return {
        "FILTERED": int(filtered),
        "SELF_WEIGHT": int(self_weight),
        "OWN_FRACTION": own_point,
        "OWN": [[v << (own_point - cell.own_point) for v in row] for row in cell.own],
        "OWN_FROM_ECHO": own_point - echo_point - cell.emit_point,
        "ECHO": echo,
        "ECHO_FROM_WEIGHT": echo_point - cell.drive_point - weight_point if self_weight else 0,
        "DRIVE": list(cell.drive),
        "TRACE_FROM_DRIVE": own_point + points.trace - cell.drive_point,
        "EMIT_FRACTION": cell.emit_point,
    } | _shifts(parts, signals.format.fraction + meets, points.state + points.trace)


def cell_rows(cell: Cell) -> int:
    """How many states a cell has."""
    return len(cell.drive)


def _emission_bound(parts: _Parts) -> float:
    """The most that a row does to the output."""
    threshold = 2.0 ** parts.cell.constants["THRESHOLD_EXPONENT"]
    adaptation = parts.cell.constants.get("ADAPTATION", 0) * 2.0**-parts.points.state
    return parts.bounds.slope / threshold * max(1.0, abs(adaptation))


def _presynaptic(parts: _Parts) -> Macros:
    points, cell = parts.points, parts.cell
    signals: Any = parts.device.substrate.signals
    bound = parts.trace_bound
    point = signals.format.fraction + 3 * points.trace
    drive = max(1.0, abs(cell.drive[0]) * 2.0**-cell.drive_point)
    reach = _reach(signals) * _emission_bound(parts) * drive * bound
    require_exact("a weight change", point, reach)
    require_exact("a trace", points.decay + points.trace, bound + MOST_EVENTS)
    readout = points.state + 3 * points.trace
    require_exact("a readout's weight change", readout, (parts.bounds.state + 1) * bound)
    return {
        "DRIVE": list(cell.drive),
        "DRIVE_FRACTION": cell.drive_point,
        "EMIT_FRACTION": cell.emit_point,
        "FILTERED": 0,
    } | _shifts(parts, point, readout)


def _signal(parts: _Parts, signal: Any) -> Macros:
    """How errors become signals."""
    points, device = parts.points, parts.device
    format: Any = device.substrate.signals
    outputs = device.learner.network.readout.input.outputs
    error, gain = (parts.bounds.state + 1) * outputs, 1
    point = points.state
    weights: Any = device.substrate.weights
    most = max(-weights.format.low, weights.format.high)
    if isinstance(signal, Symmetric):
        spread = parts.lsb["0.readout.input.weight"]
    else:
        spread = parts.lsb["1.0"]
    made: Macros = {}
    if isinstance(signal, LocalReadout):
        point = max(spread, points.state)
        neurons = device.learner.network.layers[0].input.outputs
        error = outputs * (1 + (neurons + 1) * most * 2.0**-spread)
        made |= {
            "LOCAL_FROM_FEEDBACK": point - spread,
            "LOCAL_FROM_TARGET": point - points.state,
        }
    elif not _filtered(parts):
        stages = device.learner.deployed(device.state).discretise().stages
        kappa = whole("kappa", float(stages[1].coefficients["alpha"][0]), points.decay)
        gain, point = (1 << points.decay) - kappa, point + points.decay
    require_exact("a signal", point + spread, error * most * 2.0**-spread)
    if device.state.feedback:
        scale = 2.0 ** parts.lsb["1.0"]
        made["FEEDBACK"] = np.round(np.asarray(device.state.feedback[0]) * scale).astype(int)
    return made | {"ERROR_GAIN": gain, "SIGNAL_SHIFT": point + spread - format.format.fraction}
