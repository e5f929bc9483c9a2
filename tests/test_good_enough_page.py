"""docs/when_is_it_good_enough.md is what the exported results make it."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tracegrad.study.export import load_export
from tracegrad.study.statistics import Paired
from tracegrad.study.study_file import load_study

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import good_enough

    return good_enough


def test_the_page_is_that_of_the_results(made):
    assert made.PAGE.read_text() == made.page(), "run: python bench/good_enough.py"
    assert "when_is_it_good_enough.md" in (ROOT / "mkdocs.yml").read_text()


def test_means_of_the_page_are_those_of_the_cells(made):
    text = made.PAGE.read_text()
    files = sorted(made.FOLDER.glob("*.json"))
    assert files
    for path in files:
        found = load_export(path)
        folds = found.plan.get("folds", [])

        def line(settings, folds=folds):
            return {name: value for name, value in settings.items() if name not in folds}

        for group in map(line, found.plan["groups"]):
            rows = [
                r for r in found.cells if line(r.settings) == group and r.outcome.status == "done"
            ]
            if rows and (right := [r.outcome.metrics["accuracy"] for r in rows])[0] is not None:
                assert f"| {100 * np.mean(right):.1f}" in text, (path.name, group)


def test_learning_curves_are_on_the_page_where_each_has_a_colour(made):
    text = made.PAGE.read_text()
    for path in made.FOLDER.glob("*.json"):
        for task, some in made.by_task(made.summaries(load_export(path))).items():
            few = 0 < sum(bool(summary.done) for summary in some) <= len(made.COLOURS)
            assert (f"images/studies/{path.stem}/learning-{task}.png" in text) == few


def test_results_are_of_the_study_beside_them_and_of_a_clean_commit(made):
    for path in made.FOLDER.glob("*.json"):
        found = load_export(path)
        study = load_study(str(path.parents[1] / f"{path.stem}.toml"), found.size)
        tuned = {} if study.tuning is None else study.tuning.parameters
        for row in found.cells:
            assert row.settings in study.groups and 0 <= row.seed < study.seeds, path.name
            assert row.tuned.keys() == tuned.keys(), path.name
            assert row.digest == study.cell(row.settings, row.seed, row.tuned).digest, path.name
            assert re.fullmatch("[0-9a-f]{40}", row.outcome.environment["commit"])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.009, 0.02, "as good"),
        (0.02, 0.03, "as good"),
        (-0.05, -0.02, "worse"),
        (-0.05, 0.0, "open"),
        (-0.011, 0.0, "open"),
        (None, None, "no interval"),
    ],
)
def test_a_verdict_needs_the_whole_interval(made, low, high, expected):
    assert made.verdict(Paired(0.0, low, high, 3)) == expected


def test_folds_of_a_rule_are_pairs(made):
    results = load_export(made.FOLDER / "speaker.json")
    found = {cell.settings["rule"]: {} for cell in results.cells}
    for cell in (cell for cell in results.cells if "signal" not in cell.settings):
        speaker = cell.settings["task_options.speaker"]
        found[cell.settings["rule"]][speaker] = cell.outcome.metrics["accuracy"]
    gaps = [found["eprop"][who] - found["bptt"][who] for who in found["bptt"]]
    assert len(gaps) == 6
    assert f"- rule eprop: **open** ({100 * np.mean(gaps):+.1f} points [" in made.PAGE.read_text()


def test_the_part_of_a_new_speaker_is_that_of_the_chosen_rate(made):
    content = json.loads((made.MEASURED / "new_speaker.json").read_text())
    assert len({row["speaker"] for row in content["rows"]}) == 6
    assert not content["commit"].endswith("dirty")
    text = made.PAGE.read_text()
    for rule in {row["rule"] for row in content["rows"]}:
        by_rate: dict[float, list[float]] = {}
        for row in content["rows"]:
            if row["rule"] == rule and row["rounds"]:
                by_rate.setdefault(row["rate"], []).append(row["chosen_by"])
        rate = max(by_rate, key=lambda rate: np.mean(by_rate[rate]))
        for rounds in (0, 10, 40):
            key = (rule, rate, rounds)
            right = [
                100 * row["accuracy"]
                for row in content["rows"]
                if (row["rule"], row["rate"], row["rounds"]) == key
            ]
            assert f"{np.mean(right):.1f} ± {np.std(right, ddof=1):.1f}" in text


def test_the_first_round_at_a_level_is_told(made):
    rows = [
        {"rounds": rounds, "accuracy": accuracy + more}
        for rounds, accuracy in ((0, 0.5), (1, 0.7), (2, 0.9))
        for more in (-0.1, 0.1)
    ]
    assert made.rounds_to(0.699, rows) == "1 word of each digit"
    assert made.rounds_to(0.89, rows) == "2 words of each digit"
    assert made.rounds_to(0.95, rows) == "more words than were tried"
