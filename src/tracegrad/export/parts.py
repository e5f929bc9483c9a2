"""Parts: what the constants of a device's C are found from: formats, bounds, and scales."""

from typing import Any, NamedTuple

import numpy as np

from tracegrad.errors import UsageError
from tracegrad.export.cells import Bounds, Cell, Points, cell
from tracegrad.export.device import Device
from tracegrad.export.exact import exponent
from tracegrad.export.slopes import slope_table
from tracegrad.learn.filter import Kappa
from tracegrad.substrate.decays import HeldDecays
from tracegrad.substrate.number import Number

SHIFT_POINT = 15  # bits of 1 - 2^-d, d up to 15
MOST_EVENTS = 255  # that a line counts in a step
Value = int | str | list | np.ndarray
Macros = dict[str, Any]  # a `Value` each


class Parts(NamedTuple):
    """What the constants are found from."""

    device: Device
    cell: Cell
    points: Points
    bounds: Bounds
    trace_bound: float
    lsb: dict[str, int]

    @property
    def filtered(self) -> bool:
        """Whether traces are filtered before they meet the signal."""
        return isinstance(self.device.learner.rule.filter, Kappa)


def found_in(device: Device) -> Parts:
    """The parts of a device; `UsageError` for a cell, a scale or a sum that it has not."""
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
        largest_of(substrate.states),
        float(np.max(table)) * 2.0**-points.slope,
        _current_bound(device, lsb),
    )
    made = cell(stage, points, bounds)
    made.constants["SLOPES"] = len(table)
    return Parts(device, made, points, bounds, largest_of(substrate.traces), lsb)


def largest_of(number: Number) -> float:
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
