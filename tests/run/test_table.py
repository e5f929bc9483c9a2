"""The table of runs: loss beside accuracy where the task has floors, and the floors below."""

from io import StringIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from tracegrad.run import pictures
from tracegrad.run.folder import Summary
from tracegrad.run.pictures import Curves, draw_curves
from tracegrad.run.table import print_runs
from tracegrad.run.train import Epoch

PLAIN = Summary("digits", "bptt", None, 0.9, 0.25, 0.1, 3.0, 1000, 1.0, "")
FLOORED = Summary(
    "add", "rtrl", 5, 0.8, 0.4711, 0.1, 3.0, 1000, 1.0, "", floors={"both": 0.45454, "none": 0.66}
)
GROWING = Summary("copy", "eprop", 1, 0.7, 0.5, 0.1, 3.0, 1000, 1.0, "", level=7)


def printed(*summaries: Summary) -> str:
    text = StringIO()
    print_runs(Console(file=text, width=120), summaries)
    return text.getvalue()


def test_a_loss_and_its_floors_are_printed_together():
    text = printed(FLOORED)
    assert "80.0%" in text and "0.4711" in text and "level" not in text
    assert text.rstrip().endswith("Floors of the loss of add: 0.4545 both, 0.6600 none.")


def test_without_floors_the_accuracy_says_it_all():
    text = printed(PLAIN)
    assert "90.0%" in text and "0.25" not in text and "Floors" not in text


def test_a_curriculum_says_where_it_stands():
    lines = printed(GROWING, PLAIN).splitlines()
    assert "level" in lines[1] or "level" in lines[2]
    assert any("eprop" in line and " 7 " in line for line in lines)


def test_learning_curves_have_a_line_for_each_floor(monkeypatch: pytest.MonkeyPatch):
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return path

    monkeypatch.setattr(pictures, "save", keep)
    epochs = [Epoch(n, 0.5, 0.5, 0.6 / n, 0.5, 0.1, 3.0, 1.0) for n in (1, 2)]
    for floors in ({}, FLOORED.floors):
        draw_curves(Curves({"rtrl": epochs}, floors), Path("none.png"))
    bare, floored = (figure.axes[0] for figure in figures)
    assert len(bare.lines) == 1
    assert [line.get_ydata()[0] for line in floored.lines[1:]] == [0.45454, 0.66]
    assert [text.get_text() for text in floored.texts] == ["both: 0.4545", "none: 0.66"]
