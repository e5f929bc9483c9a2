"""Pictures of a report: learning curves, and cost beside what it buys."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tracegrad.study.study import label
from tracegrad.study.summary import Summary, varying

# Okabe and Ito 2008: eight colours that people with any colour vision tell apart.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800",
)  # fmt: skip
DASHES, MARKS = ("-", "--", ":", "-."), "os^Dv*"


def draw_learning(found: Sequence[Summary], folder: Path, task: str) -> Path:
    """Mean test score after every epoch, a band of one standard deviation, floors of the loss."""
    figure, (axes,) = _figure(1)
    for (name, summary), style in zip(_named(found), _styles(), strict=False):
        curves = _curves(summary)
        epochs, mean = np.arange(1, curves.shape[1] + 1), curves.mean(axis=0)
        axes.plot(epochs, mean, label=name, color=style[0], linestyle=style[1])
        if len(curves) > 1:
            sd = curves.std(axis=0, ddof=1)
            axes.fill_between(epochs, mean - sd, mean + sd, color=style[0], alpha=0.15, lw=0)
    if not _classifies(found):
        for name, floor in next(s for s in found if s.done).floors.items():
            axes.axhline(floor, color="0.4", linewidth=0.9, linestyle=(0, (6, 2)))
            axes.annotate(name, (0.0, floor), color="0.3", fontsize="x-small", va="bottom")
    axes.set(title=f"{task}: learning curves", xlabel="epoch", ylabel=_axis(found))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _save(figure, axes, folder / f"learning-{task}.png")


def draw_cost(found: Sequence[Summary], folder: Path, task: str) -> Path:
    """Time of a step and memory of the learner against the score; up and left is better."""
    figure, axes = _figure(2)
    for (name, summary), style in zip(_named(found), _styles(), strict=False):
        score, costs = summary.score, (summary.microseconds, summary.memory)
        assert score is not None
        factor = 100.0 if _classifies(found) else 1.0
        for axis, cost, unit in zip(axes, costs, (1.0, 1e-6), strict=True):
            assert cost is not None
            axis.errorbar(
                unit * cost.mean, factor * score.mean, factor * (score.sd or 0.0),
                marker=style[2], color=style[0], label=name, linestyle="none", capsize=2,
            )  # fmt: skip
    for axis, name in zip(axes, ("time of a step of a batch (us)", "memory (MB)"), strict=True):
        axis.set(xlabel=name, xscale="log")
    axes[0].set(title=f"{task}: what it costs", ylabel=_axis(found))
    return _save(figure, axes[-1], folder / f"cost-{task}.png")


def _named(found: Sequence[Summary]) -> list[tuple[str, Summary]]:
    """Groups with a done cell, each by what it differs in from the others."""
    names = varying([summary.settings for summary in found]) or ["rule"]
    shown = [summary for summary in found if summary.done]
    return [(label({n: s.settings[n] for n in names if n in s.settings}), s) for s in shown]


def _styles() -> list[tuple[str, str, str]]:
    return [(c, d, m) for d, m in zip(DASHES, MARKS, strict=False) for c in COLOURS]


def _classifies(found: Sequence[Summary]) -> bool:
    """Whether the score is an accuracy and the loss has no floors but chance to be seen."""
    shown = [summary for summary in found if summary.done]
    return all(s.accuracy is not None and len(s.floors) < 2 for s in shown)


def _axis(found: Sequence[Summary]) -> str:
    return "test accuracy (%)" if _classifies(found) else "test loss"


def _curves(summary: Summary) -> Float[np.ndarray, "seeds epochs"]:
    accuracy = _classifies([summary])
    name, factor = ("test_accuracy", 100.0) if accuracy else ("test_loss", 1.0)
    return np.array([[factor * e[name] for e in row.outcome.curves] for row in summary.done])


def _figure(columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, columns, sharey=True)))


def _save(figure: Figure, axes: Axes, path: Path) -> Path:
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=120)
    return path
