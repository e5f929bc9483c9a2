"""Pictures: what a person can look at after a run; drawn to PNG files, without a screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tracegrad.run.record import Factors, Record
from tracegrad.run.train import Epoch

# Okabe and Ito 2008: eight colours that people with any colour vision tell apart; these are five.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
COLOURS, DASHES = (BLUE, RED, GREEN, PURPLE, ORANGE), ("-", "--", "-.", ":", "-")
WIDTH = 7.0  # inches
SHOWN = 4  # membrane traces in a picture: more are not told apart


class Curves(NamedTuple):
    """Epochs of runs, by rule, and the floors of their task's loss, by name."""

    runs: Mapping[str, Sequence[Epoch]]
    floors: Mapping[str, float]


def draw_run(record: Record, curves: Curves, folder: Path) -> list[Path]:
    """All pictures of one run, each a PNG file in `folder`."""
    paths = [
        draw_input(record, folder / "input.png"),
        draw_hidden(record, folder / "hidden.png"),
        draw_curves(curves, folder / "learning.png"),
    ]
    if record.factors is not None:
        paths.append(draw_factors(record.factors, record.dt, folder / "eligibility.png"))
    return paths


def draw_input(record: Record, path: Path) -> Path:
    """The input of one test sequence as a raster."""
    figure, (axes,) = new_figure(1, 3.5)
    draw_values(axes, record.inputs, record.dt)
    axes.set(title="Input of one test sequence", ylabel="input line", xlabel="time (ms)")
    return save(figure, path)


def draw_hidden(record: Record, path: Path) -> Path:
    """Rasters of the hidden layers, below them membranes of the most active neurons."""
    layers = len(record.hidden)
    figure, axes = new_figure(layers + 1, 2.8 * (layers + 1))
    for index, (axis, outputs) in enumerate(zip(axes, record.hidden, strict=False), start=1):
        draw_values(axis, outputs, record.dt)
        axis.set(title=f"Hidden layer {index}: outputs", ylabel="neuron")
    _membranes(axes[-1], record)
    axes[-1].set(xlabel="time (ms)")
    return save(figure, path)


def draw_factors(factors: Factors, dt: float, path: Path) -> Path:
    """Presynaptic spikes, eligibility trace, learning signal and their product, one time axis."""
    figure, axes = new_figure(4, 7.0)
    time = milliseconds(len(factors.trace), dt)
    rows = (
        (factors.presynaptic, BLUE, "$x_i$", "Input of the synapse: spikes"),
        (factors.trace, GREEN, r"$\bar e_{ji}$", "Eligibility trace: what the synapse remembers"),
        (factors.signal, RED, "$L_j$", "Learning signal: what the neuron hears of the error"),
        (factors.product, PURPLE, r"$L_j\,\bar e_{ji}$", "Their product; its sum is the gradient"),
    )
    for axis, (values, colour, symbol, name) in zip(axes, rows, strict=True):
        axis.axhline(0.0, color="0.7", linewidth=0.8)
        axis.set(ylabel=symbol)
        axis.set_title(name, loc="left", fontsize="medium")
        if values is factors.presynaptic:
            axis.vlines(time, 0.0, values, color=colour, linewidth=1.8)
        else:
            axis.plot(time, values, color=colour, linewidth=1.8)
    axes[-1].fill_between(time, factors.product, color=PURPLE, alpha=0.25)
    figure.suptitle(f"Synapse from input line {factors.line} to hidden neuron {factors.neuron}")
    total = float(factors.product.sum())
    axes[-1].set(xlabel=f"time (ms); the sum is {total:.2e}")
    return save(figure, path)


def draw_curves(curves: Curves, path: Path) -> Path:
    """Learning curves of several rules: loss and its floors, accuracy where targets are classes."""
    runs = curves.runs
    classifies = all(epochs[0].test_accuracy is not None for epochs in runs.values())
    figure, axes = new_figure(1 + classifies, 3.2 * (1 + classifies))
    for index, (rule, epochs) in enumerate(runs.items()):
        style = {
            "color": COLOURS[index % len(COLOURS)],
            "linestyle": DASHES[index % len(DASHES)],
            "marker": "o",
            "markersize": 3,
            "label": rule,
        }
        numbers = [epoch.epoch for epoch in epochs]
        axes[0].plot(numbers, [epoch.test_loss for epoch in epochs], **style)
        if classifies:
            right = [100.0 * (epoch.test_accuracy or 0.0) for epoch in epochs]
            axes[1].plot(numbers, right, **style)
    for name, floor in curves.floors.items():
        axes[0].axhline(floor, color="0.4", linewidth=0.9, linestyle=(0, (6, 2)))
        _beside(axes[0], f"{name}: {floor:.4g}", floor)
    axes[0].set(title="Learning curves", ylabel="test loss")
    if classifies:
        axes[1].set(ylabel="test accuracy (%)")
    else:
        axes[0].set(yscale="log")
    axes[-1].set(xlabel="epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes:
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    return save(figure, path)


def _beside(axes: Axes, text: str, height: float) -> None:
    """A small text at the right end of a line."""
    place = {"xycoords": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
    axes.annotate(text, (0.99, height), color="0.3", fontsize="x-small", **place)


def _membranes(axes: Axes, record: Record) -> None:
    """States of the neurons of the first layer that are most active, one above the other."""
    time = milliseconds(len(record.state), record.dt)
    activity = np.abs(record.hidden[0]).sum(axis=0)
    chosen = np.argsort(-activity, kind="stable")[:SHOWN]
    reach = float(np.ptp(record.state[:, chosen])) or 1.0
    for row, neuron in enumerate(chosen):
        base = -1.1 * reach * row
        axes.plot(time, record.state[:, neuron] + base, color=COLOURS[row])
        if is_raster(record.hidden[0]):
            at = np.flatnonzero(record.hidden[0][:, neuron])
            axes.scatter(time[at], record.state[at, neuron] + base, s=14, color=COLOURS[row])
    axes.set(
        title=f"Hidden layer 1: ${record.state_name}$ of its most active neurons (dots: spikes)",
        yticks=[-1.1 * reach * row for row in range(len(chosen))],
        yticklabels=[str(neuron) for neuron in chosen],
        ylabel=f"neuron (at ${record.state_name}=0$)",
    )


def draw_values(axes: Axes, values: Float[np.ndarray, "T n"], dt: float) -> None:
    """Spikes as marks; real values, which no mark can show, as an image."""
    steps, count = values.shape
    time = milliseconds(steps, dt)
    if is_raster(values):
        at, line = np.nonzero(values)
        size = float(np.clip(600.0 / max(steps, count), 1.0, 14.0))
        axes.scatter(time[at], line, s=size, marker="s", color="black", linewidths=0)
    else:
        axes.imshow(
            values.T, aspect="auto", origin="lower", interpolation="nearest", cmap="cividis",
            extent=(0.0, 1e3 * dt * steps, -0.5, count - 0.5),
        )  # fmt: skip
    axes.set(xlim=(0.0, 1e3 * dt * (steps + 1)), ylim=(-1, count))


def is_raster(values: Float[np.ndarray, "T n"]) -> bool:
    """Whether the values are spikes, 0 and 1 only."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def milliseconds(steps: int, dt: float) -> Float[np.ndarray, " T"]:
    """Time at the end of every step."""
    return 1e3 * dt * np.arange(1, steps + 1)


def new_figure(rows: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of rows on one time axis, `height` inches high, to be drawn without a screen."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(rows, 1, sharex=True)))


def save(figure: Figure, path: Path) -> Path:
    """Write the PNG file."""
    figure.savefig(path, dpi=120)
    return path
