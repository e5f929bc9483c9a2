"""`tracegrad tasks show`: a picture of every task, and one sentence for a mistake."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from tracegrad.data import TASKS, copy_curriculum, delayed_xor
from tracegrad.run import task_picture
from tracegrad.run.cli import main
from tracegrad.run.task_picture import draw_task

FREE = [name for name, entry in TASKS.items() if not entry.needs_data]


@pytest.mark.parametrize("name", FREE)
def test_every_task_shows_itself(name, tmp_path, capsys):
    path = tmp_path / "task.png"
    assert main(["tasks", "show", name.replace("_", "-"), "--out", str(path)]) == 0
    printed = capsys.readouterr().out
    task_floors = printed.count("floor of the loss")
    assert printed.startswith(f"{name}: ") and str(path) in printed
    assert (task_floors > 0) == (name not in ("digits", "pattern_generation", "target_trains"))
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[0] > 500 and pixels.std() > 0.01


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures themselves instead of their files."""
    figures = []

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return path

    monkeypatch.setattr(task_picture, "save", keep)
    return figures


def test_the_picture_is_the_sample(drawn):
    task = delayed_xor()
    draw_task(task, 5, Path("none.png"))
    batch = task.sample(5)
    rows = drawn[0].axes
    at, line = np.nonzero(batch.xs[:, 0])
    marks = np.asarray(rows[0].collections[0].get_offsets())
    np.testing.assert_allclose(marks, np.column_stack([at + 1.0, line]))
    label = np.asarray(rows[1].collections[0].get_offsets())
    assert label[:, 0].tolist() == list(range(251, 301))  # the end of each step, in ms
    assert (label[:, 1] == batch.ys[0, 0]).all()
    np.testing.assert_allclose(rows[2].lines[0].get_ydata(), batch.weight[:, 0])


def test_padding_is_not_drawn(drawn):
    draw_task(copy_curriculum(), 0, Path("none.png"))
    assert len(drawn[0].axes[2].lines[0].get_ydata()) == 3  # a bit, the go signal, the bit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "tasks show needs a task: tracegrad tasks show NAME, with digits, spoken-digit"),
        (["show", "dance"], "There is no task dance. There are digits, spoken-digits"),
        (["show", "add", "--out", "a.jpg"], "out must be a PNG file, got a.jpg"),
        (["show", "add", "--seed", "x"], "--seed"),
        (["show", "braille"], "braille reads its data from a folder. Give it with --data DIR"),
        (["show", "add", "--data", "x"], "add reads no data folder, got x"),
        (["list"], "tracegrad tasks takes no options but show NAME, got list"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, message, capsys):
    assert main(["tasks", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_help(capsys):
    assert main(["tasks", "show", "--help"]) == 0
    assert "--out" in capsys.readouterr().out
