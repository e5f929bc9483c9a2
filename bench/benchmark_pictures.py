"""Draw docs/images/curves.png: time and memory of a training step, from the result file."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
from benchmark_page import series
from matplotlib.axes import Axes
from result import FOLDER

from tracegrad.bench.curve import AXES

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "curves.png"
LABELS = {"ms": "time (ms)", "memory_mib": "memory beyond the input (MiB)"}


def draw(axes: Axes, rows: list[dict], quantity: str) -> None:
    """One quantity along one size, both logarithmic."""
    for name, values in series(rows, quantity).items():
        axes.plot([*values], [*values.values()], marker="o", markersize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel=AXES[rows[0]["axis"]].label)
    axes.grid(alpha=0.3)


def main() -> None:
    """A row of panels a quantity, a column a size."""
    content = json.loads((FOLDER / "curves.json").read_text())
    names = list(dict.fromkeys(row["axis"] for row in content["rows"]))
    size = (3.2 * len(names), 5.6)
    figure, grid = plt.subplots(2, len(names), figsize=size, squeeze=False, layout="constrained")
    for column, name in enumerate(names):
        rows = [row for row in content["rows"] if row["axis"] == name]
        for line, quantity in enumerate(LABELS):
            draw(grid[line, column], rows, quantity)
            grid[line, 0].set_ylabel(LABELS[quantity])
    labels = {
        text: line
        for axes in grid[0]
        for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=len(labels))
    figure.savefig(PICTURE, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()
