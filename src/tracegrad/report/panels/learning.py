"""Learning: loss and accuracy after every epoch, all runs in one plot."""

from collections.abc import Sequence

from tracegrad.report.section import (
    Block,
    Plot,
    Row,
    Section,
    Trace,
    pen,
    plain,
    stacked,
)
from tracegrad.report.seen import Seen


def learning(runs: Sequence[Seen]) -> Section:
    """Loss, accuracy where targets are classes, and mean output of the hidden neurons."""
    rows = [Row("loss (faint: training)", _loss(runs), {"title": {"text": "loss"}})]
    if any(run.summary.accuracy is not None for run in runs):
        axis = {"title": {"text": "accuracy"}, "tickformat": ".0%"}
        rows.append(Row("accuracy (faint: training)", _accuracy(runs), axis))
    axis = {"title": {"text": "rate"}, "tickformat": ".1%"}
    rows.append(Row("mean output of a hidden neuron at a step", _rate(runs), axis))
    data, layout = stacked(rows, "epoch", 200)
    legend = {"orientation": "h", "y": 1.0, "yanchor": "top", "yref": "container"}
    layout["xaxis"] |= {"dtick": 1} if max(len(run.epochs) for run in runs) < 15 else {}
    if len(runs) > 1:
        layout |= {"showlegend": True, "legend": legend}
        layout["margin"] = {**layout["margin"], "t": 30 + 24 * len(runs)}
        layout["height"] += 24 * len(runs)
    plot = Plot("plot-learning", f"Learning curves. {_told(runs)}", data, layout)
    text = "The test set is scored after every epoch; training numbers are means over the epoch."
    return Section("learning", "Learning curves", text, [Block("", [plot])])


def _loss(runs: Sequence[Seen]) -> list[Trace]:
    train = [_line(r, at, [e.train_loss for e in r.epochs], "train") for at, r in enumerate(runs)]
    test = [_line(r, at, [e.test_loss for e in r.epochs], "test") for at, r in enumerate(runs)]
    floors = {name: value for run in runs for name, value in run.summary.floors.items()}
    last = max(len(run.epochs) for run in runs)
    shown = [
        {
            "x": [1, last], "y": [value, value], "name": plain(f"floor: {name}"), "mode": "lines",
            "line": {"color": "#888888", "dash": "dot"}, "showlegend": False,
        }
        for name, value in floors.items()
    ]  # fmt: skip
    return train + test + shown


def _accuracy(runs: Sequence[Seen]) -> list[Trace]:
    train = [
        _line(r, at, [e.train_accuracy for e in r.epochs], "train") for at, r in enumerate(runs)
    ]
    test = [_line(r, at, [e.test_accuracy for e in r.epochs], "test") for at, r in enumerate(runs)]
    return train + [trace | {"showlegend": False} for trace in test]


def _rate(runs: Sequence[Seen]) -> list[Trace]:
    lines = [_line(r, at, [e.rate for e in r.epochs], "test") for at, r in enumerate(runs)]
    return [line | {"showlegend": False} for line in lines]


def _line(run: Seen, at: int, values: Sequence[float | None], part: str) -> Trace:
    """A curve; test in full, training faint and without an entry in the legend."""
    return {
        "x": [epoch.epoch for epoch in run.epochs],
        "y": list(values),
        "name": plain(f"{run.label}, {part}"),
        "mode": "lines+markers",
        "line": pen(at),
        "opacity": 1.0 if part == "test" else 0.45,
        "showlegend": part == "test",
    }


def _told(runs: Sequence[Seen]) -> str:
    parts = []
    for run in runs:
        first, last = run.epochs[0], run.epochs[-1]
        told = f"{run.label}: test loss from {first.test_loss:.4g} to {last.test_loss:.4g}"
        if first.test_accuracy is not None and last.test_accuracy is not None:
            told += f", accuracy from {first.test_accuracy:.1%} to {last.test_accuracy:.1%}"
        parts.append(told + ".")
    return " ".join(parts)
