"""Fidelity: how close the rule's gradient is to the exact one, on the trained network."""

from collections.abc import Sequence

from tracegrad.inspect import Fidelity
from tracegrad.report.section import (
    Block,
    Plot,
    Row,
    Section,
    Table,
    Trace,
    nothing,
    numbers,
    pen,
    plain,
    stacked,
)
from tracegrad.report.seen import Seen

TEXT = (
    "The gradient of the recorded sequence, by how many steps lie between the use of a weight and "
    "the loss: the rule beside backpropagation through time. Cosine 1 is the same direction; where "
    "a line ends, the rule or the exact gradient has nothing. What a rule draws at random is drawn "
    "anew. The older lags are taken together in the last."
)


def fidelity(runs: Sequence[Seen]) -> Section:
    """Cosine and relative norm by lag, and the agreement of whole gradients as a table."""
    blocks = [_block(run, at) for at, run in enumerate(runs)]
    return Section("fidelity", "How close to the exact gradient", TEXT, blocks)


def _block(run: Seen, at: int) -> Block:
    found = run.fidelity
    if isinstance(found, str):
        return nothing(run.label, found)
    rows = [
        Row("cosine with the exact gradient", _lines(found, "cosine"), {"range": [-1.05, 1.05]}),
        Row("norm relative to the exact gradient", _lines(found, "norm_ratio"), {}),
        Row("share of the exact gradient", _lines(found, "share"), {}),
    ]
    data, layout = stacked(rows, "lag (steps)", 140)
    layout["hovermode"] = "closest"
    layout |= {"showlegend": True, "legend": {"orientation": "h", "y": 0, "yref": "container"}}
    layout["height"] += 24 * len(found.parameters)
    layout["margin"] = {**layout["margin"], "b": 50 + 24 * len(found.parameters)}
    layout["xaxis"] |= {"type": "category"}
    alt = "Agreement with the exact gradient by lag: " + "; ".join(
        f"{entry.name} has cosine {entry.cosine:.3f}" for entry in found.parameters
    )
    return Block(run.label, [Plot(f"plot-fidelity-{at}", f"{alt}.", data, layout), _table(found)])


def _lines(found: Fidelity, quantity: str) -> list[Trace]:
    lines = []
    for at, entry in enumerate(found.parameters):
        assert entry.by_lag is not None  # fidelity() always resolves by lag
        lines.append({
            "x": entry.by_lag.labels,
            "y": numbers(getattr(entry.by_lag, quantity)),
            "name": plain(entry.name),
            "mode": "lines+markers",
            "marker": {"size": 5, "symbol": at},
            "line": pen(at),
            "showlegend": quantity == "cosine",
            "connectgaps": False,
        })  # fmt: skip
    return lines


def _table(found: Fidelity) -> Table:
    rows = [
        [e.name, f"{e.cosine:.4f}", f"{e.norm_ratio:.3g}", f"{e.sign_agreement:.1%}"]
        for e in found.parameters
    ]
    caption = f"{found.rule}: whole gradients beside the exact ones"
    return Table(caption, ["parameter", "cosine", "norm ratio", "same sign"], rows)
