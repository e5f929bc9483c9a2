"""docs/tasks.md and docs/tasks are what docstrings, defaults and results make them."""

import re
import sys

import pytest

from pages import ROOT
from tracegrad.data import TASKS


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import task_pages

    return task_pages


def test_every_task_has_a_page_that_is_up_to_date(pages):
    assert {path.stem for path in pages.PAGES.glob("*.md")} == set(TASKS)
    for name in TASKS:
        made = (pages.PAGES / f"{name}.md").read_text()
        assert made == pages.page(name), f"{name}: run: python bench/task_pages.py"
        assert f"tasks/{name}.md" in pages.INDEX.read_text()
    assert pages.INDEX.read_text() == pages.index()


def test_a_page_shows_its_recipe_and_how_it_is_trained(pages):
    text = (pages.PAGES / "add.md").read_text()
    assert "`Add(first=5, second=9, steps=200, stretch=1, dt=0.001)`" in text
    assert "32 Tanh neurons, recurrent; Adam at 0.003, batches of 32, 30 epochs" in text
    assert "\n    task = add(" in text  # an example is code
    assert not re.search(r"at 0x", (pages.PAGES / "randman.md").read_text())  # no address


def test_results_are_on_the_page_of_their_own_task(pages):
    def files(task: str) -> int:
        return sum(part.endswith(":") for part in pages.reached(task))

    assert (files("nmnist_small"), files("nmnist")) == (1, 0)
    assert files("braille") == 2  # told late is the same task


def test_every_task_without_data_has_a_small_picture(pages):
    for name, entry in TASKS.items():
        if not entry.needs_data:
            assert (pages.IMAGES / f"{name}.png").stat().st_size < 100_000, name


def test_every_page_of_a_task_is_in_the_navigation():
    site = (ROOT / "mkdocs.yml").read_text()
    assert [name for name in TASKS if f": tasks/{name}.md\n" not in site] == []
