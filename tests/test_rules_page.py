"""docs/rules.md is what code and result file make it, for every rule."""

import json
import re
import sys
from pathlib import Path

import pytest

import tracegrad as tg

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import rule_table

    return rule_table


def test_the_page_is_that_of_code_and_result_file(made):
    page = made.PAGE.read_text()
    assert made.written(page) == page, "run: python bench/rule_table.py"
    assert "rules.md" in (ROOT / "mkdocs.yml").read_text()


def test_a_typed_number_is_found(made):
    page = made.PAGE.read_text()
    at = page.index(made.START) + re.search(r"\d ±", page[page.index(made.START) :]).start()
    typed = page[:at] + str((int(page[at]) + 1) % 10) + page[at + 1 :]
    assert made.written(typed) != typed


def test_every_rule_is_on_the_page_and_in_the_text(made):
    before, tables = made.PAGE.read_text().split(made.START)
    for make in tg.rules.RULES:
        assert f"`{make.__name__}`" in before, make.__name__
        assert tables.count(f"\n| `{make.__name__}` |") >= 2, make.__name__


def test_every_rule_says_what_it_keeps_and_drops(made):
    said = {make.__name__: made.kept(make) for make in tg.rules.RULES}
    assert said["rtrl"][1] == said["bptt"][1] == "nothing"

    def silent():
        """Keeps: something, but says nothing more."""

    with pytest.raises(ValueError, match="silent must end with a line 'Keeps: ... .'"):
        made.kept(silent)


def test_every_rule_was_judged_on_both_networks_from_one_commit(made):
    content = json.loads((made.FOLDER / "rules.json").read_text())
    rows = [(row["network"], row["rule"]) for row in content["rows"]]
    names = [make.__name__ for make in tg.rules.RULES]
    assert rows == [(title, name) for title in made.KINDS for name in names]
    assert not content["commit"].endswith("dirty")
    for row in content["rows"]:
        assert ("cosine" in row) + ("refused" in row) + ("not_comparable" in row) == 1, row["rule"]
        assert all(0.01 < rate < 0.5 for rate in row.get("rates", ())), row["rule"]
