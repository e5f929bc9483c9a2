"""README says what the result files say, and its pictures are there."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import tables

    return tables


def test_the_measured_section_is_that_of_the_result_files(tables):
    readme = (ROOT / "README.md").read_text()
    assert tables.written(readme) == readme, "run: python bench/tables.py"


def test_a_typed_number_is_found(tables):
    readme = (ROOT / "README.md").read_text()
    start = readme.index(tables.START)
    at = start + re.search(r"\d\.\d ±", readme[start:]).start()
    typed = readme[:at] + str((int(readme[at]) + 1) % 10) + readme[at + 1 :]
    assert tables.written(typed) != typed


def test_every_accuracy_file_has_all_its_runs_from_one_commit(tables):
    for name in ("digits", "spoken_digits", "braille"):
        content = json.loads((tables.FOLDER / f"{name}.json").read_text())
        runs = [(row["rule"], row["update_every"], row["seed"]) for row in content["rows"]]
        assert len(set(runs)) == len(runs)
        assert not content["commit"].endswith("dirty")


def test_pictures_of_readme_are_there_and_small():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 200_000, picture
