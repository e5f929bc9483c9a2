"""Picture of fidelity: parameters by lag, how close each rule is and how much is at stake."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, Normalize
from matplotlib.figure import Figure

from tracegrad.inspect.agreement import Agreement, ByLag

NOTHING = "0.85"  # grey: no exact gradient to compare with
WIDTH, ROW = 11.0, 0.26  # inches
OCTAVES = 2.0  # norm ratios are told apart from 1/4 to 4
CLASSES = (-1.0, -0.5, 0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)  # of the cosine: fine near 1
# Maps whose two ends are told apart with any colour vision, and one that is even in lightness.
COSINE, RATIO, SHARE = "RdBu", "PuOr_r", "cividis"


def draw_fidelity(found: Mapping[str, Sequence[Agreement]], path: Path) -> Path:
    """For every rule cosine (left) and norm ratio (right) by lag; below, the exact gradient.

    A cross marks where the rule has no gradient though there is an exact one, grey where there is
    none to compare with.
    """
    some = next(iter(found.values()))
    names, lags = [entry.name for entry in some], _by_lag(some)
    rules = len(found)
    height = (rules + 1) * (ROW * len(names) + 0.55) + 0.9
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rules + 1, 2, sharex=True, sharey=True)
    colours = colormaps[COSINE].resampled(len(CLASSES) - 1)
    classes, ratios = BoundaryNorm(CLASSES, colours.N), Normalize(-OCTAVES, OCTAVES)
    for row, (rule, entries) in enumerate(found.items()):
        parts = _by_lag(entries)
        cosine = np.array([part.cosine for part in parts])
        ratio = np.array([part.norm_ratio for part in parts])
        octaves = np.log2(np.maximum(ratio, 2.0**-20))
        left = _image(axes[row, 0], np.clip(cosine, -1.0, 1.0 - 1e-12), colours, classes)
        right = _image(axes[row, 1], octaves, RATIO, ratios)
        for axis in axes[row]:
            _cross(axis, ratio == 0)
        axes[row, 0].set_title(f"{rule}: cosine with the exact gradient", loc="left", fontsize=10)
        axes[row, 1].set_title(f"{rule}: norm relative to exact", loc="left", fontsize=10)
        figure.colorbar(left, ax=axes[row, 0], pad=0.01, aspect=12, ticks=CLASSES)
        bar = figure.colorbar(right, ax=axes[row, 1], pad=0.01, aspect=12, extend="both")
        bar.set_ticks([-2, -1, 0, 1, 2], labels=["1/4", "1/2", "1", "2", "4"])
    _exact(figure, list(axes[rules]), lags)
    axes[0, 0].set_yticks(range(len(names)), names)
    for axis in figure.axes:
        axis.tick_params(labelsize=8)
    _name_lags(list(axes[rules]), lags[0])
    figure.savefig(path, dpi=130)
    return path


def _by_lag(entries: Sequence[Agreement]) -> list[ByLag]:
    parts = [entry.by_lag for entry in entries if entry.by_lag is not None]
    if not parts or len(parts) != len(entries):
        raise ValueError("A picture by lag needs what fidelity(...) finds; judge(...) has no lags.")
    return parts


def _image(
    axes: Axes, values: Float[np.ndarray, "parameter lag"], colours: Colormap | str, norm: Normalize
) -> ScalarMappable:
    axes.set_facecolor(NOTHING)
    shown = np.ma.masked_invalid(values)
    return axes.imshow(shown, aspect="auto", interpolation="nearest", cmap=colours, norm=norm)


def _cross(axes: Axes, where: np.ndarray) -> None:
    row, lag = np.nonzero(where)
    axes.scatter(lag, row, marker="x", s=18, color="black", linewidths=0.9)


def _exact(figure: Figure, axes: Sequence[Axes], lags: list[ByLag]) -> None:
    """The exact gradient's own norm by lag: what a colour above weighs."""
    share = np.array([part.share for part in lags])
    largest = np.max(np.nan_to_num(share), axis=1, keepdims=True)
    share = np.where(largest > 0, share / np.where(largest > 0, largest, 1.0), np.nan)
    image = _image(axes[0], share, SHARE, Normalize(0, 1))
    axes[0].set_title("exact gradient: norm beside its largest", loc="left", fontsize=10)
    figure.colorbar(image, ax=axes[0], pad=0.01, aspect=12)
    axes[1].axis("off")
    legend = (
        "lag: steps from the use of a weight to the loss\n"
        "grey: no exact gradient at this lag\n"
        "×: an exact gradient, but none from the rule"
    )
    axes[1].text(0.02, 0.5, legend, transform=axes[1].transAxes, va="center", fontsize=9)


def _name_lags(axes: Sequence[Axes], lags: ByLag) -> None:
    every = -(-len(lags.lags) // 13)
    chosen = list(range(0, len(lags.lags), every))
    for axis in axes:
        axis.set_xticks(chosen, [lags.labels[lag] for lag in chosen])
        axis.set_xlabel("lag (steps)")
