"""Raster: the input and the outputs of the hidden layers over one test sequence."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from tracegrad.report.section import (
    BLUE,
    INK,
    Block,
    Plot,
    Row,
    Section,
    Trace,
    milliseconds,
    nothing,
    numbers,
    stacked,
)
from tracegrad.report.seen import UNRECORDED, Seen
from tracegrad.run.pictures import is_raster
from tracegrad.run.record import Record

TEXT = "One sequence of the test set after training: every mark is a spike; real values are shades."


def raster(runs: Sequence[Seen]) -> Section:
    """Spikes as marks, real values as an image; input above, layers below, one time axis."""
    blocks = [_block(run, at) for at, run in enumerate(runs)]
    return Section("raster", "Input and spikes", TEXT, blocks)


def drawn(record: Record, name: str) -> Plot:
    """The plot of one recorded sequence."""
    rows = [Row("input", [_trace(record.inputs, record.dt)], _axis("line", record.inputs))]
    for index, outputs in enumerate(record.hidden, start=1):
        title = f"hidden layer {index}"
        rows.append(Row(title, [_trace(outputs, record.dt)], _axis("neuron", outputs)))
    data, layout = stacked(rows, "time (ms)", 220)
    layout |= {"hovermode": "closest"}
    # Zero and a step more, so that marks at the ends are whole and an empty raster has an axis.
    layout["xaxis"]["range"] = [0, 1e3 * record.dt * (len(record.inputs) + 1)]
    return Plot(name, _told(record), data, layout)


def _block(run: Seen, at: int) -> Block:
    if run.record is None:
        return nothing(run.label, UNRECORDED)
    return Block(run.label, [drawn(run.record, f"plot-raster-{at}")])


def _axis(name: str, values: Float[np.ndarray, "T n"]) -> dict:
    return {"title": {"text": name}, "range": [-1, values.shape[1]], "zeroline": False}


def _trace(values: Float[np.ndarray, "T n"], dt: float) -> Trace:
    steps, count = values.shape
    time = milliseconds(steps, dt)
    if not is_raster(values):
        said = "%{x:.4g} ms, %{y}: %{z:.4g}<extra></extra>"
        return {
            "type": "heatmap", "x": time, "z": numbers(values.T), "colorscale": "Cividis",
            "showscale": False, "hovertemplate": said,
        }  # fmt: skip
    at, line = np.nonzero(values)
    size = float(np.clip(500.0 / max(steps, count), 2.0, 7.0))
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [time[step] for step in at],
        "y": line.tolist(),
        "marker": {"symbol": "square", "size": size, "color": BLUE},
        "meta": INK,
        "hovertemplate": "%{x:.4g} ms, %{y}<extra></extra>",
    }


def _told(record: Record) -> str:
    layers = "; ".join(
        f"hidden layer {index}, {outputs.shape[1]} neurons, mean output {outputs.mean():.3g}"
        for index, outputs in enumerate(record.hidden, start=1)
    )
    steps, lines = record.inputs.shape
    return (
        f"{steps} steps of {1e3 * record.dt:.4g} ms. Input of {lines} lines, mean "
        f"{record.inputs.mean():.3g}; {layers}."
    )
