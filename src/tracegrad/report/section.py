"""Section: what a panel hands to the page, as plain values; nothing in it is HTML."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num

# Okabe and Ito 2008: colours that people with any colour vision tell apart. The first four stand
# out from white and from dark paper by 3 to 1 (WCAG 2.2, 1.4.11); lines differ in dashes besides.
BLUE, RED, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
)  # fmt: skip
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot")
INK = "ink"  # `meta` of a trace that the page draws in the colour of its text
EDGES = {"l": 56, "r": 12, "t": 30, "b": 44}  # pixels around a plot
EXPONENTS = {"exponentformat": "e"}  # most quantities have no unit that could take a prefix

Trace = dict[str, Any]  # as Plotly defines one


class Plot(NamedTuple):
    """A plot: its name on the page, what it shows in words, traces and layout as Plotly's."""

    name: str
    alt: str
    data: list[Trace]
    layout: dict[str, Any]


class Table(NamedTuple):
    """A table; rows in `marked` are those in which the runs differ."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()
    folded: bool = False


class Block(NamedTuple):
    """What is told of one run, or of all where there is no title; a text is a sentence."""

    title: str
    parts: Sequence[Plot | Table | str]


class Section(NamedTuple):
    """A section of the page: its name in the address, its title, how to read it, and blocks."""

    name: str
    title: str
    text: str
    blocks: Sequence[Block]


class Row(NamedTuple):
    """One of several plots above each other on one horizontal axis."""

    title: str
    traces: list[Trace]
    axis: dict[str, Any]


def stacked(rows: Sequence[Row], label: str, height: int) -> tuple[list[Trace], dict[str, Any]]:
    """Traces and layout of rows from top to bottom, each `height` pixels, with one `label` below.

    All share one horizontal axis, so that zooming and hovering reach them all.
    """
    count, gap = len(rows), 34.0  # pixels between rows, for their titles
    inner = count * height + (count - 1) * gap
    layout: dict[str, Any] = {
        "height": round(inner) + EDGES["t"] + EDGES["b"],
        "margin": EDGES,
        "showlegend": False,
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "xaxis": {"title": {"text": label}, "anchor": "y" if count == 1 else f"y{count}"},
        "annotations": [],
    }
    traces: list[Trace] = []
    for number, row in enumerate(rows, start=1):
        axis = "y" if number == 1 else f"y{number}"
        top = 1.0 - (number - 1) * (height + gap) / inner
        domain = [max(0.0, top - height / inner), top]
        layout["yaxis" if number == 1 else f"yaxis{number}"] = {
            "domain": domain,
            **EXPONENTS,
            **row.axis,
        }
        layout["annotations"].append(_heading(row.title, top))
        traces += [{**trace, "xaxis": "x", "yaxis": axis} for trace in row.traces]
    return traces, layout


def pen(at: int) -> dict[str, str]:
    """Colour and dash of the line of that number."""
    return {"color": COLOURS[at % len(COLOURS)], "dash": DASHES[at % len(DASHES)]}


def numbers(values: Num[np.ndarray, "..."]) -> list[Any]:
    """An array as JSON holds it, exactly; None for what is not finite."""
    held = values.astype(object)
    held[~np.isfinite(values)] = None
    return held.tolist()


def plain(text: str) -> str:
    """A text that Plotly shows as it is: it would read tags and entities in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def milliseconds(steps: int, dt: float) -> list[float]:
    """Time at the end of every step; `dt` in seconds."""
    return (1e3 * dt * np.arange(1, steps + 1)).tolist()


def nothing(title: str, why: str) -> Block:
    """What stands in place of a panel that a run has nothing for."""
    return Block(title, [why])


def _heading(title: str, top: float) -> dict[str, Any]:
    """A title at the left above a row."""
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": top, "yshift": 4}
    anchors = {"xanchor": "left", "yanchor": "bottom", "align": "left", "showarrow": False}
    return {"text": title, **place, **anchors}
