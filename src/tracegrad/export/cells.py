"""Cells: the neurons that a device can have, their constants as whole numbers.

A cell is written in C once for each neuron (`c/lif.h`, ...); here are the numbers it needs. Rows
are the states in alphabetical order.
"""

from typing import Any, NamedTuple

import numpy as np

from tracegrad.errors import UsageError
from tracegrad.export.exact import exponent, require_exact, whole
from tracegrad.model.alif import ALIF
from tracegrad.model.cuba_lif import CubaLIF
from tracegrad.model.lif import LIF
from tracegrad.model.reset import SubtractReset
from tracegrad.model.stage import Stage

Constants = dict[str, int]


class Points(NamedTuple):
    """Bits behind the point: states, decays, slopes, traces, and the current of a neuron."""

    state: int
    decay: int
    slope: int
    trace: int
    current: int


class Bounds(NamedTuple):
    """The largest value of a state, a slope and a current."""

    state: float
    slope: float
    current: float


class Cell(NamedTuple):
    """A neuron for the device.

    `own`, with `own_point` bits behind the point, is what each row makes of each; `drive`, with
    `drive_point`, what a synapse does to each row; `echo` what the neuron's own spike does beside
    the reset, of which a rule may see that it takes `reset`, with `reset_point`, from the row
    `reset_row`; `emit_point` belongs to what the slope makes of each row.
    """

    file: str
    constants: Constants
    own: tuple[tuple[int, ...], ...]
    own_point: int
    drive: tuple[int, ...]
    drive_point: int
    echo: tuple[int, ...]
    reset_row: int
    reset: int
    reset_point: int
    emit_point: int


def cell(stage: Stage, points: Points, bounds: Bounds) -> Cell:
    """The cell of a stage; `UsageError` names what has no exact form on a device."""
    neuron: Any = stage.neuron
    plain = neuron.neuron  # inside the embodied one
    make = {LIF: _lif, CubaLIF: _cuba, ALIF: _alif}.get(type(plain))
    if make is None:
        raise UsageError(
            f"{type(plain).__name__} has no cell in C. Choose LIF, CubaLIF or ALIF, or write one."
        )
    if not isinstance(plain.reset, SubtractReset):
        raise UsageError(
            f"The device subtracts the threshold at a spike, got {type(plain.reset).__name__}. Use "
            "SubtractReset()."
        )
    shared = {name: _shared(name, values) for name, values in stage.coefficients.items()}
    made = make(plain, shared, points, bounds)
    return made._replace(reset=0) if plain.reset.detached else made


def _shared(name: str, values: Any) -> float:
    values = np.asarray(values, np.float64)
    if np.any(values != values[0]):
        raise UsageError(f"All neurons of a device share {name}, got several. Give them one.")
    return float(values[0])


def _common(c: dict[str, float], points: Points) -> Constants:
    """Constants of every cell: the threshold, and how a distance becomes a slope's index."""
    threshold = c["v_threshold"]
    return {
        "THRESHOLD": whole("v_threshold", threshold, points.state),
        "THRESHOLD_EXPONENT": exponent("v_threshold", threshold),
    }


def _decay(c: dict[str, float], name: str, points: Points) -> int:
    return whole(name, c[name], points.decay)


def _membrane(normalised: bool, decay: int, points: Points) -> tuple[int, int]:
    """The gain of the current and the bits behind its point."""
    return ((1 << points.decay) - decay, points.decay) if normalised else (1, 0)


class _Reset(NamedTuple):
    """What a spike takes from the potential, and the bits behind its point."""

    taken: int
    point: int


def _reset(constants: Constants, leak: int | None, points: Points) -> _Reset:
    """The threshold, or what the leak leaves of it where the reset comes first."""
    threshold = constants["THRESHOLD"]
    if leak is None:
        return _Reset(threshold, points.state)
    return _Reset(threshold * leak, points.state + points.decay)


def _fired(reset: _Reset, finest: int, points: Points) -> Constants:
    return {
        "V_SHIFT": finest - points.state,
        "RESET": reset.taken << (finest - reset.point),
    }


def _lif(neuron: LIF, c: dict[str, float], points: Points, bounds: Bounds) -> Cell:
    constants, alpha = _common(c, points), _decay(c, "alpha", points)
    constants |= _potential(alpha, neuron.normalised, points, bounds)
    gain, gain_point = _membrane(neuron.normalised, alpha, points)
    reset = _reset(constants, alpha if neuron.reset_first else None, points)
    return Cell(
        "lif.h",
        constants | {"ALPHA": alpha} | _fired(reset, constants["FINEST"], points),
        ((alpha,),),
        points.decay,
        (gain,),
        gain_point,
        (0,),
        0,
        *reset,
        points.slope + constants["THRESHOLD_EXPONENT"],
    )


def _potential(decay: int, normalised: bool, points: Points, bounds: Bounds) -> Constants:
    """How a potential follows from the one before and the current."""
    gain, gain_point = _membrane(normalised, decay, points)
    finest = max(points.decay + points.state, gain_point + points.current)
    require_exact("a membrane potential", finest, 2 * bounds.state + bounds.current)
    return {
        "GAIN": gain,
        "V_FROM_V": finest - points.decay - points.state,
        "V_FROM_CURRENT": finest - gain_point - points.current,
        "FINEST": finest,
    }


def _cuba(neuron: CubaLIF, c: dict[str, float], points: Points, bounds: Bounds) -> Cell:
    constants = _common(c, points)
    alpha, beta = _decay(c, "alpha", points), _decay(c, "beta", points)
    gain, gain_point = _membrane(neuron.normalised, beta, points)
    fine = max(points.decay + points.state, points.current)
    finest = max(points.decay + points.state, gain_point + fine)
    require_exact("a membrane potential", finest, 3 * bounds.state + bounds.current)
    constants |= {
        "ALPHA": alpha,
        "BETA": beta,
        "GAIN": gain,
        "OLD_CURRENT": int(neuron.old_current),
        "I_FROM_I": fine - points.decay - points.state,
        "I_FROM_CURRENT": fine - points.current,
        "I_SHIFT": fine - points.state,
        "V_FROM_V": finest - points.decay - points.state,
        "V_FROM_I": finest - gain_point - fine,
        "FINEST": finest,
    }
    reset = _reset(constants, beta if neuron.reset_first else None, points)
    own_point = 2 * points.decay
    one = 1 << points.decay
    scale = 1 << (points.decay - gain_point)
    from_current = gain * scale * (one if neuron.old_current else alpha)
    return Cell(
        "cuba_lif.h",
        constants | _fired(reset, finest, points),
        ((alpha * one, 0), (from_current, beta * one)),
        own_point,
        (1 << gain_point, 0 if neuron.old_current else gain),
        gain_point,
        (0, 0),
        1,
        *reset,
        points.slope + constants["THRESHOLD_EXPONENT"],
    )


def _alif(neuron: ALIF, c: dict[str, float], points: Points, bounds: Bounds) -> Cell:
    if neuron.refractory_steps:
        raise UsageError(
            f"The device's ALIF has no refractory time, got {neuron.refractory_steps} steps. Use 0."
        )
    constants, alpha = _common(c, points), _decay(c, "alpha", points)
    constants |= _potential(alpha, neuron.normalised, points, bounds)
    gain, gain_point = _membrane(neuron.normalised, alpha, points)
    rho, reset = _decay(c, "rho", points), _reset(constants, None, points)
    constants |= {
        "ALPHA": alpha,
        "RHO": rho,
        "ADAPTATION": whole("beta_a", c["beta_a"], points.state),
        "ONE_SPIKE": 1 << (points.decay + points.state),
        "B_SHIFT": points.decay,
    }
    return Cell(
        "alif.h",
        constants | _fired(reset, constants["FINEST"], points),
        ((rho, 0), (0, alpha)),
        points.decay,
        (0, gain),
        gain_point,
        (1, 0),
        1,
        *reset,
        points.slope + constants["THRESHOLD_EXPONENT"] + points.state,
    )
