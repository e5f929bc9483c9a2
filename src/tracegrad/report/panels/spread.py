"""Spread: how weights and firing rates are distributed, epoch by epoch."""

from collections.abc import Sequence

from tracegrad.report.section import (
    BLUE,
    RED,
    Block,
    Plot,
    Row,
    Section,
    Trace,
    nothing,
    plain,
    stacked,
)
from tracegrad.report.seen import Seen
from tracegrad.run.spread import QUANTILES

FILL = {BLUE: ("rgba(0,114,178,0.15)", "rgba(0,114,178,0.35)"),
        RED: ("rgba(213,94,0,0.15)", "rgba(213,94,0,0.35)")}  # fmt: skip
MIDDLE = len(QUANTILES) // 2
TEXT = (
    "Line: the median. Dark band: the middle half. Light band: all but 5 % at either end. Dots: "
    "the smallest and largest. Weights are those at the end of an epoch, rates the mean outputs of "
    "the hidden neurons over its training."
)


def spread(runs: Sequence[Seen]) -> Section:
    """Quantiles of every array of weights and of the rates of every hidden layer."""
    blocks = [_block(run, at) for at, run in enumerate(runs)]
    return Section("spread", "Weights and rates over training", TEXT, blocks)


def _block(run: Seen, at: int) -> Block:
    weights, rates = run.epochs[-1].weights, run.epochs[-1].rates
    if not weights:
        return nothing(run.label, "There are none: an older version made the run.")
    epochs = [epoch.epoch for epoch in run.epochs]
    rows = [
        Row(plain(name), _fan(epochs, [e.weights[name] for e in run.epochs], BLUE), {})
        for name in weights
    ] + [
        Row(plain(f"{name}: rates"), _fan(epochs, [e.rates[name] for e in run.epochs], RED), {})
        for name in rates
    ]
    data, layout = stacked(rows, "epoch", 110)
    layout["hovermode"] = "closest"
    layout["xaxis"] |= {"dtick": 1} if len(epochs) < 15 else {}
    alt = f"Quantiles of {', '.join(weights)} and of the rates of {', '.join(rates)} by epoch."
    return Block(run.label, [Plot(f"plot-spread-{at}", alt, data, layout)])


def _fan(epochs: list[int], found: list[list[float]], colour: str) -> list[Trace]:
    """Two bands, the median and the ends; `found` holds `QUANTILES` of each epoch."""
    outer, inner = FILL[colour]
    columns = [list(column) for column in zip(*found, strict=True)]
    drawn = [
        _edge(epochs, columns[1], None), _edge(epochs, columns[-2], outer),
        _edge(epochs, columns[2], None), _edge(epochs, columns[-3], inner),
        {"y": columns[MIDDLE], "mode": "lines+markers", "line": {"color": colour, "width": 2}},
        *({"y": columns[end], "mode": "markers", "marker": {"color": colour, "size": 4}}
          for end in (0, -1)),
    ]  # fmt: skip
    places = (1, -2, 2, -3, MIDDLE, 0, -1)
    return [
        {**trace, "x": epochs, "name": f"{100 * QUANTILES[place]:g} %"}
        for trace, place in zip(drawn, places, strict=True)
    ]


def _edge(epochs: list[int], values: list[float], fill: str | None) -> Trace:
    edge = {"y": values, "mode": "lines", "line": {"width": 0}}
    return edge if fill is None else edge | {"fill": "tonexty", "fillcolor": fill}
