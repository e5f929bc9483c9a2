"""docs/benchmarks.md is what the result files make it, and its picture is there."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import benchmark_page

    return benchmark_page


def test_the_page_is_that_of_the_result_files(made):
    page = made.PAGE.read_text()
    assert made.written(page) == page, "run: python bench/benchmark_page.py"
    assert "benchmarks.md" in (ROOT / "mkdocs.yml").read_text()


def test_a_typed_number_is_found(made):
    page = made.PAGE.read_text()
    at = page.index(made.START) + re.search(r"\d\.\d", page[page.index(made.START) :]).start()
    typed = page[:at] + str((int(page[at]) + 1) % 10) + page[at + 1 :]
    assert made.written(typed) != typed


def test_its_pictures_are_there_and_small(made):
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", made.PAGE.read_text()):
        assert (made.PAGE.parent / picture).stat().st_size < 200_000, picture


def results(made) -> dict[str, dict]:
    """Those files that were measured."""
    files = {name: made.FOLDER / f"{name}.json" for name in made.PARTS}
    return {name: json.loads(path.read_text()) for name, path in files.items() if path.is_file()}


def test_results_come_from_clean_commits(made):
    found = results(made)
    assert found
    for name, content in found.items():
        assert content["rows"] and not content["commit"].endswith("dirty"), name


def test_a_peer_ran_or_says_why_not(made):
    found = results(made)
    if "peers" not in found:
        pytest.skip("peers were not measured: make bench-peers, on a quiet machine")
    for row in found["peers"]["rows"]:
        assert row["ms"] > 0 and row["runs"] >= 3 if "ms" in row else row["skipped"]


def test_a_row_measured_beside_others_is_left_out_and_named(made):
    row = {"workload": "W1", "peer": "a", "mode": "BPTT", "ms": 2.0, "ratio": 2.0,
           "best_ratio": 1.9, "compile_s": 1.0, "others": 0.05}  # fmt: skip
    loud = row | {"peer": "b", "others": 0.2, "ms": 77.7}
    content = json.loads((made.FOLDER / "memory.json").read_text())
    sizes = {"lines": 1, "hidden": 2, "classes": 3, "steps": 4, "batch": 5}
    text = made.peers(content | {"rows": [row, loud], "settings": {"W1": sizes}})
    assert "| a: BPTT | 2.0 |" in text and "77.7" not in text
    assert f"{made.LOUD}b BPTT." in text


def test_the_series_of_a_point_left_out_have_a_gap(made):
    rows = [
        {"value": 1, "ms": {"a": 1.0, "b": 4.0}, "memory_mib": {"a": 5.0, "b": 6.0}},
        {"value": 2, "left_out": {"all": "would need 9 GB"}},
        {"value": 4, "ms": {"a": 2.0}, "memory_mib": {"a": 7.0}, "left_out": {"b": "takes 9 s"}},
    ]
    assert made.series(rows, "ms") == {"a": {1: 1.0, 4: 2.0}, "b": {1: 4.0}}
    assert made.series(rows, "memory_mib")["a"] == {1: 5.0, 4: 7.0}
