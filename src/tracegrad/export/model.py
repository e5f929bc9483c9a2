"""Model: all that the C library is made from, as whole numbers, with every sum shown exact."""

from typing import Any, NamedTuple

import numpy as np

from tracegrad.errors import UsageError
from tracegrad.export.cells import Cell, Points
from tracegrad.export.device import Device
from tracegrad.export.draws import draws
from tracegrad.export.exact import exponent, least, require_exact, whole
from tracegrad.export.parts import MOST_EVENTS, Macros, Parts, found_in, largest_of
from tracegrad.export.refusals import check
from tracegrad.export.remembered import weights
from tracegrad.export.signals import FILES, signal_macros
from tracegrad.export.slopes import slope_table
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.presynaptic import Presynaptic
from tracegrad.run.learner_state import stream_of
from tracegrad.substrate.update import Accumulate


class Model(NamedTuple):
    """The C files to put together by the name they get there, and the macros they need."""

    files: dict[str, str]
    macros: Macros
    points: Points
    arrays: dict[str, np.ndarray]


def model(device: Device) -> Model:
    """Everything of a device as whole numbers; `UsageError` names what is not possible."""
    check(device)
    rule: Any = device.learner.rule
    influence, signal = rule.influence.influence, rule.signal.signal
    if type(signal) not in FILES:
        raise UsageError(
            f"The device has the signals symmetric, random and local, got {type(signal).__name__}."
        )
    parts = found_in(device)
    arrays = {n: np.asarray(k) for n, k in weights(device, device.state).items()}
    macros = running(parts) | draws(device)
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
    macros |= signal_macros(parts, signal)
    files = {"cell.h": parts.cell.file, "traces.h": shapes[0], "rule.h": shapes[1]}
    files |= {"error.h": "difference.h", "signal.h": FILES[type(signal)]}
    return Model(files, macros, parts.points, arrays)


def running(parts: Parts) -> Macros:
    """What every library has, however it learns: sizes, formats, the cell and its currents."""
    device = parts.device
    return _sizes(device) | _numbers(device) | parts.cell.constants | _currents(parts)


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
    made |= _update(update)
    stage: Any = device.learner.deployed(device.state).discretise().stages[0]
    return made | {"SLOPE_TABLE": slope_table(stage.neuron.neuron.surrogate)}


def _update(update: Any) -> Macros:
    """How a change gets into a weight: the most bits of one, or the accumulator beside it."""
    if not isinstance(update, Accumulate):
        return {"ACCUMULATES": 0, "WEIGHT_MOST": update.most or 0}
    return {
        "ACCUMULATES": 1,
        "KEPT": _format(update.format, update.rounding),
        "KEPT_FRACTION": update.format.fraction,
    }


def _format(format: Any, rounding: Any) -> str:
    wraps = int(type(format.overflow).__name__ == "Wrap")
    return f"((tg_format){{{_rounding(rounding)}, {wraps}, {format.low}, {format.high}}})"


def _rounding(rounding: Any) -> str:
    if not rounding.draws:
        return {"Nearest": "TG_NEAREST", "Floor": "TG_FLOOR"}[type(rounding).__name__]
    return "TG_CHANCE_SHARED" if rounding.shared else "TG_CHANCE"


def _currents(parts: Parts) -> Macros:
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


def _shifts(parts: Parts, hidden: int, readout: int) -> Macros:
    """How many bits a product of error and trace is finer than the weight it changes.

    A change that is made with a chance is larger by its inverse, so by that many bits less.
    """
    rate = -exponent("the learning rate", parts.device.rate)
    memory: Any = parts.device.substrate.weights
    rarer = -exponent("the chance of a change", memory.chance)
    lsb = parts.lsb
    shifts = {
        "INPUT": hidden + rate - lsb["0.layers.0.input.weight"],
        "RECURRENT": hidden + rate - lsb.get("0.layers.0.recurrent.weight", 0),
        "READOUT": readout + rate - lsb["0.readout.input.weight"],
    }
    made: Macros = {f"{name}_SHIFT": shift - rarer for name, shift in shifts.items()}
    return made | {f"{n}_LEAST": least(memory.threshold, shift) for n, shift in shifts.items()}


def _block(parts: Parts, influence: Block) -> Macros:
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
    filtered = parts.filtered
    meets = points.trace + (0 if filtered else cell.emit_point)
    reached = largest_of(signals) * (bound if filtered else met)
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


def _emission_bound(parts: Parts) -> float:
    """The most that a row does to the output."""
    threshold = 2.0 ** parts.cell.constants["THRESHOLD_EXPONENT"]
    adaptation = parts.cell.constants.get("ADAPTATION", 0) * 2.0**-parts.points.state
    return parts.bounds.slope / threshold * max(1.0, abs(adaptation))


def _presynaptic(parts: Parts) -> Macros:
    points, cell = parts.points, parts.cell
    signals: Any = parts.device.substrate.signals
    bound = parts.trace_bound
    point = signals.format.fraction + 3 * points.trace
    drive = max(1.0, abs(cell.drive[0]) * 2.0**-cell.drive_point)
    reach = largest_of(signals) * _emission_bound(parts) * drive * bound
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
