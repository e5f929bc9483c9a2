"""Membrane: states of single neurons of the first layer, and what the readout says."""

from collections.abc import Sequence

import numpy as np

from tracegrad.report.section import (
    COLOURS,
    DASHES,
    Block,
    Plot,
    Row,
    Section,
    Trace,
    milliseconds,
    nothing,
    numbers,
    plain,
    stacked,
)
from tracegrad.report.seen import UNRECORDED, Seen
from tracegrad.run.pictures import is_raster
from tracegrad.run.record import Record

TEXT = (
    "The same sequence: the state of single neurons of the first hidden layer (dots: spikes), and "
    "the readout."
)
SHOWN = 3  # neurons beside the one whose synapse is followed below


def membrane(runs: Sequence[Seen]) -> Section:
    """The most active neurons and the one of the chosen synapse, a row each, then the readout."""
    blocks = [_block(run, at) for at, run in enumerate(runs)]
    return Section("membrane", "Membranes and readout", TEXT, blocks)


def chosen(record: Record) -> list[int]:
    """The neurons that are shown, the one of the chosen synapse first."""
    order = np.argsort(-np.abs(record.hidden[0]).sum(axis=0), kind="stable").tolist()
    first = [] if record.factors is None else [record.factors.neuron]
    return [*first, *(neuron for neuron in order if neuron not in first)][: SHOWN + len(first)]


def _block(run: Seen, at: int) -> Block:
    record = run.record
    if record is None:
        return nothing(run.label, UNRECORDED)
    rows = [
        Row(
            f"neuron {neuron}",
            _traces(record, neuron),
            {"title": {"text": plain(record.state_name)}},
        )
        for neuron in chosen(record)
    ]
    rows.append(Row("readout (a line a unit)", _readout(record), {"title": {"text": "y"}}))
    data, layout = stacked(rows, "time (ms)", 90)
    layout["height"] += 60
    layout["hovermode"] = "closest"
    neurons = ", ".join(map(str, chosen(record)))
    units = record.readout.shape[1]
    alt = f"State {record.state_name} of neurons {neurons} and the readout's {units} units."
    return Block(run.label, [Plot(f"plot-membrane-{at}", alt, data, layout)])


def _traces(record: Record, neuron: int) -> list[Trace]:
    time, state = milliseconds(len(record.state), record.dt), record.state[:, neuron]
    name = plain(f"{record.state_name} of {neuron}")
    line = {
        "x": time,
        "y": numbers(state),
        "mode": "lines",
        "name": name,
        "line": {"color": COLOURS[0]},
    }
    if not is_raster(record.hidden[0]):
        return [line]
    at = np.flatnonzero(record.hidden[0][:, neuron])
    marks = {
        "x": [time[step] for step in at], "y": numbers(state[at]), "mode": "markers",
        "name": "spike", "marker": {"color": COLOURS[1], "size": 6},
    }  # fmt: skip
    return [line, marks]


def _readout(record: Record) -> list[Trace]:
    time = milliseconds(len(record.readout), record.dt)
    return [
        {
            "x": time, "y": numbers(values), "mode": "lines", "name": f"unit {unit}",
            "line": {
                "color": COLOURS[unit % len(COLOURS)],
                "dash": DASHES[unit // len(COLOURS) % len(DASHES)],
                "width": 1.5,
            },
        }
        for unit, values in enumerate(record.readout.T)
    ]  # fmt: skip
