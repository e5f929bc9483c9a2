"""What every panel must show, read from the files of a run by other means than the report's."""

import json
from pathlib import Path
from typing import Any

import numpy as np


def expected(path: Path, at: int) -> dict[str, list[tuple[str, Any]]]:
    """By plot: pairs of what tells a trace (its name) or axis, and its values in order."""
    epochs = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    seen = dict(np.load(path / "record.npz"))
    state, hidden = seen["state"], seen["hidden.0"]
    first = int(seen["factors.neuron"])
    trace, signal = seen["factors.trace"], seen["factors.signal"]
    return {
        "plot-learning": [
            ("y", [epoch[name] for epoch in epochs])
            for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "rate")
        ],
        f"plot-confusion-{at}": [
            ("z", np.genfromtxt(path / "confusion.csv", delimiter=",").tolist())
        ],
        f"plot-raster-{at}": [
            ("y", [int(line) for _, line in np.argwhere(seen["inputs"])]),
            ("y", [int(neuron) for _, neuron in np.argwhere(hidden)]),
            ("x", [1e3 * float(seen["dt"]) * (int(t) + 1) for t, _ in np.argwhere(hidden)]),
        ],
        f"plot-membrane-{at}": [
            ("y", state[:, first].tolist()),
            ("y", state[hidden[:, first] > 0, first].tolist()),
            *(("y", unit.tolist()) for unit in seen["readout"].T),
        ],
        f"plot-factors-{at}": [
            ("y", seen["factors.presynaptic"].tolist()),
            *(("y", v.tolist()) for n, v in seen.items() if n.startswith("factors.local.emit")),
            ("y", trace.tolist()),
            ("y", signal.tolist()),
            ("y", (trace * signal).tolist()),
            ("y", [-sum((trace * signal)[: t + 1]) for t in range(len(trace))]),
        ],
        f"plot-spread-{at}": [
            ("y", [epoch[kind][name][quantile] for epoch in epochs])
            for kind in ("weights", "rates")
            for name in epochs[-1][kind]
            for quantile in range(7)
        ],
    }


def found(data: list[dict[str, Any]], axis: str, values: list[Any]) -> bool:
    """Whether a trace holds just these values, to rounding of a sum's order."""
    held = [trace.get(axis) for trace in data if np.shape(trace.get(axis)) == np.shape(values)]
    return any(np.allclose(one, values, rtol=1e-12, atol=1e-15) for one in held)
