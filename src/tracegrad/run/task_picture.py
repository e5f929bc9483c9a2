"""Task picture: one sequence of a task, its input, target and weight over time."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tracegrad.data import Batch, Task
from tracegrad.run.pictures import (
    COLOURS,
    DASHES,
    draw_values,
    is_raster,
    milliseconds,
    new_figure,
    save,
)

FEW = 5  # lines of values that are told apart as curves; more are an image


def draw_task(task: Task, seed: int, path: Path) -> Path:
    """One training sequence of `task` as a picture, the same for the same seed."""
    batch = task.sample(seed)
    steps = int(batch.valid[:, 0].sum())
    one = Batch(*(a[:steps, 0] for a in batch))
    figure, axes = new_figure(3, 6.5)
    figure.suptitle(f"{task.name}: {task.summary}", fontsize="medium")
    _lines(axes[0], one.xs.astype(np.float32), task.dt)
    axes[0].set_title("Input", loc="left", fontsize="medium")
    axes[0].set(ylabel="input line")
    _target(axes[1], one, task)
    axes[1].set_title("Target", loc="left", fontsize="medium")
    axes[2].step(milliseconds(steps, task.dt), one.weight, where="mid", color=COLOURS[0])
    axes[2].set_title("Weight of a step in the loss", loc="left", fontsize="medium")
    axes[2].set(ylabel="weight", xlabel="time (ms)", ylim=(0.0, 1.1 * float(one.weight.max())))
    return save(figure, path)


def _target(axes: Axes, one: Batch, task: Task) -> None:
    """Classes as dots where they are labelled; values as curves, a raster or an image."""
    if task.classifies:
        asked = np.flatnonzero(one.weight > 0)
        time = milliseconds(len(one.ys), task.dt)
        axes.scatter(time[asked], one.ys[asked], s=8, marker="s", color=COLOURS[1], linewidths=0)
        axes.set(ylabel="class", ylim=(-0.5, task.outputs - 0.5))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        return
    _lines(axes, one.ys, task.dt)
    axes.set(ylabel="output" if one.ys.shape[1] > FEW or is_raster(one.ys) else "value")


def _lines(axes: Axes, values: Float[np.ndarray, "T n"], dt: float) -> None:
    """A few real values as curves, spikes or many values as `draw_values` has them."""
    if is_raster(values) or values.shape[1] > FEW:
        draw_values(axes, values, dt)
        return
    time = milliseconds(len(values), dt)
    for index, line in enumerate(values.T):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        axes.plot(time, line, label=str(index), color=colour, linestyle=dash)
    if values.shape[1] > 1:
        axes.legend(frameon=False, fontsize="small", loc="upper right")
