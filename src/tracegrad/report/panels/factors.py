"""Factors: one synapse over time, from what it receives to how its weight is pushed."""

from collections.abc import Sequence

import numpy as np

from tracegrad.report.section import (
    BLUE,
    COLOURS,
    GREEN,
    PURPLE,
    RED,
    Block,
    Plot,
    Row,
    Section,
    Trace,
    milliseconds,
    nothing,
    numbers,
    pen,
    plain,
    stacked,
)
from tracegrad.report.seen import UNRECORDED, Seen
from tracegrad.run.record import Factors

LOCAL = {
    ("own ", "echo "): "own and echo: what lives on",
    ("drive ",): "drive: what an input adds",
    ("emit ",): "emit: how the state moves the output",
}
NO_TRACES = "The rule has no eligibility traces, so there are no three factors to show."
TEXT = (
    "A synapse keeps a trace of its input: own says how much of the neuron's state lives on, "
    "drive what a new input adds, emit how much the state moves the output. Together they make "
    "the eligibility trace, shown as the rule's filter leaves it. When a learning signal "
    "arrives, trace times signal is the gradient of that step, and the weight is pushed against"
    " its sum. The weights stood still while this was recorded. The push is that of plain "
    "gradient descent, per unit of the learning rate; an optimiser such as Adam scales it."
)


def factors(runs: Sequence[Seen]) -> Section:
    """Input, own, drive, emit, trace, signal, their product and the push, on one time axis."""
    blocks = [_block(run, at) for at, run in enumerate(runs)]
    return Section("factors", "The three factors of one synapse", TEXT, blocks)


def drawn(seen: Factors, dt: float, name: str) -> Plot:
    """The plot of one synapse."""
    time = milliseconds(len(seen.trace), dt)
    rows = [_row("input of the synapse, x", _bars(time, seen.presynaptic, "x", BLUE))]
    rows += [Row(title, _derivatives(time, seen, kinds), {}) for kinds, title in LOCAL.items()]
    push = -np.cumsum(seen.product)
    rows += [
        _row("eligibility trace, e", _line(time, seen.trace, "e", GREEN)),
        _row("learning signal, L", _line(time, seen.signal, "L", RED)),
        _row("L e: the gradient of each step", _bars(time, seen.product, "L e", PURPLE)),
        _row("weight change so far: minus the sum of L e", _line(time, push, "push", BLUE)),
    ]
    data, layout = stacked(rows, "time (ms)", 84)
    alt = (
        f"Synapse from input line {seen.line} to hidden neuron {seen.neuron}: {len(seen.trace)} "
        f"steps; the sum of L e, its gradient, is {seen.product.sum():.3e}."
    )
    return Plot(name, alt, data, layout)


def _block(run: Seen, at: int) -> Block:
    if run.record is None:
        return nothing(run.label, UNRECORDED)
    if run.record.factors is None:
        return nothing(run.label, NO_TRACES)
    return Block(run.label, [drawn(run.record.factors, run.record.dt, f"plot-factors-{at}")])


def _row(title: str, trace: Trace) -> Row:
    return Row(title, [trace], {})


def _derivatives(time: list[float], seen: Factors, kinds: tuple[str, ...]) -> list[Trace]:
    """The derivatives of these kinds, named at their ends; those that are zero throughout are left
    out, for there may be many.
    """
    there = [(n, v) for k in kinds for n, v in seen.local.items() if n.startswith(k) and np.any(v)]
    return [
        {
            **_line(time, values, name, COLOURS[at % len(COLOURS)]),
            "mode": "lines+text",
            "line": {**pen(at), "width": 2},
            "text": [""] * (len(time) - 1) + [plain(name)],
            "textposition": "bottom left" if at % 2 else "top left",
            "cliponaxis": False,
            "hovertemplate": "%{y:.4g}",
        }
        for at, (name, values) in enumerate(there)
    ]


def _line(time: list[float], values: np.ndarray, name: str, colour: str) -> Trace:
    made = {"x": time, "y": numbers(values), "name": plain(name), "mode": "lines"}
    return made | {"line": {"color": colour, "width": 2}}


def _bars(time: list[float], values: np.ndarray, name: str, colour: str) -> Trace:
    made = {"x": time, "y": numbers(values), "name": name, "type": "bar"}
    return made | {"marker": {"color": colour, "line": {"width": 0}}}
