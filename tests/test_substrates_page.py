"""docs/substrates.md is what the result files make it, and its picture is there."""

import re
import statistics
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import substrate_page

    return substrate_page


def test_the_page_is_that_of_the_result_files(made):
    assert made.PAGE.read_text() == made.page(), "run: python bench/substrate_page.py"


def test_its_picture_is_there_and_small(made):
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", made.HEAD)
    assert made.PAGE.parent / picture == made.PICTURE
    assert made.PICTURE.stat().st_size < 200_000


def test_results_come_from_clean_commits(made):
    found = made.results()
    assert set(found) == set(made.PARTS)
    for name, content in found.items():
        assert content["rows"] and re.fullmatch("[0-9a-f]{12}", content["commit"]), name


def test_means_of_the_page_are_those_of_the_seeds(made):
    text, found = made.PAGE.read_text(), made.results()
    rows = found["substrate_bits"]["rows"]
    right = [r["accuracy"] for r in rows if r["bits"] == 8 and r["update"] == "stochastic"]
    line = next(line for line in text.splitlines() if line.startswith("| 8 |"))
    assert line.split("|")[3].split("±")[0].strip() == f"{100 * statistics.mean(right):.1f}"
    assert all(len({r["seed"] for r in found[n]["rows"]}) >= 3 for n in found if "seed" in
               found[n]["rows"][0])  # fmt: skip


@pytest.mark.parametrize(
    ("moved", "learned", "share"), [(0.8, 0.85, 0.5), (0.8, 0.95, 1.5), (0.895, 0.9, None)]
)
def test_what_is_won_back_is_a_share_of_what_the_move_cost(made, moved, learned, share):
    rows = [
        {"trained": 0.9 + d, "moved": moved + d, "accuracy": learned + d} for d in (-0.01, 0.01)
    ]
    assert made.won_back(rows) == (None if share is None else pytest.approx(share))
