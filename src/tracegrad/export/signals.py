"""Signals: how errors become the signals of hidden neurons, as whole numbers."""

from typing import Any

import numpy as np

from tracegrad.export.exact import least, require_exact, whole
from tracegrad.export.parts import Macros, Parts
from tracegrad.learn.signal import Random, Symmetric
from tracegrad.learn.signals.local_readout import LocalReadout

FILES = {Symmetric: "symmetric.h", Random: "random.h", LocalReadout: "local_readout.h"}


def signal_macros(parts: Parts, signal: Any) -> Macros:
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
    elif not parts.filtered:
        stages = device.learner.deployed(device.state).discretise().stages
        kappa = whole("kappa", float(stages[1].coefficients["alpha"][0]), points.decay)
        gain, point = (1 << points.decay) - kappa, point + points.decay
    require_exact("a signal", point + spread, error * most * 2.0**-spread)
    if device.state.feedback:
        scale = 2.0 ** parts.lsb["1.0"]
        made["FEEDBACK"] = np.round(np.asarray(device.state.feedback[0]) * scale).astype(int)
    return made | {
        "ERROR_GAIN": gain,
        "SIGNAL_SHIFT": point + spread - format.format.fraction,
        "SIGNAL_LEAST": least(device.substrate.signal_threshold, point + spread),
    }
