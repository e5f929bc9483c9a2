"""Confusion: which class was taken for which."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from tracegrad.report.section import Block, Plot, Section, nothing, numbers
from tracegrad.report.seen import Seen

NONE = "There is none: targets are values and no classes, or an older version made the run."


def confusion(runs: Sequence[Seen]) -> Section:
    """A matrix for each run, of the test set after the last epoch."""
    blocks = [_block(run, at) for at, run in enumerate(runs)]
    text = "Test sequences after the last epoch: rows are classes, columns are answers."
    return Section("confusion", "Which class is taken for which", text, blocks)


def _block(run: Seen, at: int) -> Block:
    found = run.confusion
    if found is None:
        return nothing(run.label, NONE)
    trace = {
        "type": "heatmap",
        "z": numbers(found),
        "colorscale": "Cividis",
        "hovertemplate": "class %{y} taken for %{x}: %{z}<extra></extra>",
        "colorbar": {"thickness": 12},
    }
    if len(found) <= 12:
        trace |= {"texttemplate": "%{z:.3~g}", "textfont": {"size": 11}}
    every = 1 if len(found) <= 20 else 5
    layout = {
        "height": 420,
        "margin": {"l": 48, "r": 8, "t": 16, "b": 44},
        "xaxis": {"title": {"text": "taken for"}, "dtick": every},
        "yaxis": {"title": {"text": "class"}, "dtick": every, "autorange": "reversed"},
    }
    return Block(run.label, [Plot(f"plot-confusion-{at}", _told(found), [trace], layout)])


def _told(found: Float[np.ndarray, "o o"]) -> str:
    right, total = float(np.trace(found)), float(found.sum())
    told = f"Confusion matrix of {len(found)} classes: {right:.4g} of {total:.4g} sequences right."
    wrong = found - np.diag(np.diag(found))
    if not wrong.any():
        return told
    row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return f"{told} Most often class {row} is taken for {column}: {wrong[row, column]:.3g} times."
