"""docs/which_rule.md and the map of docs/concepts.md are what results and rules make them."""

import re
import sys

import numpy as np
import pytest

import tracegrad as tg
from pages import ROOT
from tracegrad.study.outcome import Outcome
from tracegrad.study.statistics import Spread
from tracegrad.study.store import Row
from tracegrad.study.summary import Summary


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])


@pytest.fixture
def guide(bench):
    import which_rule

    return which_rule


@pytest.fixture
def places(bench):
    import rule_map

    return rule_map


def test_the_guide_is_that_of_the_results(guide):
    assert guide.PAGE.read_text() == guide.page(), "run: python bench/which_rule.py"


def test_numbers_of_the_guide_are_those_of_the_files(guide):
    text = guide.PAGE.read_text()
    rows = guide.load("digits")["rows"]
    right = [100 * r["accuracy"] for r in rows if r["rule"] == "eprop"]
    offline = [100 * r["accuracy"] for r in rows if r["rule"] == "bptt"]
    assert f"{np.mean(right):.1f} ± {np.std(right, ddof=1):.1f} | " in text
    assert f"| {np.mean(right) - np.mean(offline):+.1f} |" in text
    ottt = next(r for r in guide.load("device_learner")["rows"] if r["rule"] == "ottt")
    assert f"{ottt['ram_bytes'] / 1024:.0f} KiB of RAM" in text


def test_the_guide_says_what_was_not_measured(guide):
    told = guide.PAGE.read_text().split("## Not measured")[1]
    for results in guide.studied():
        for group in results.plan["groups"]:
            if not any(row.settings == group for row in results.cells):
                assert f"- {group['task']}, rule {group['rule']}" in told
    for path in guide.STUDIES.parent.glob("*.toml"):
        if not (guide.STUDIES / f"{path.stem}.json").exists():
            assert f"`{path.stem}`: no result yet" in told


def test_a_cell_that_is_taken_away_is_said_to_be_missing(guide, monkeypatch):
    studied = guide.studied()
    for results in studied:
        del results.cells[:]
    monkeypatch.setattr(guide, "studied", lambda: studied)
    told = "\n".join(guide.missing())
    assert told.count("not measured") == sum(len(r.plan["groups"]) for r in studied)


def test_the_lowest_floor_that_is_reached_is_told(guide, monkeypatch):
    floors = {"no memory": 0.66, "one lag": 0.52, "both lags": 0.45}

    def found(loss):
        settings = {"task": "coin", "rule": f"r{loss}"}
        outcome = Outcome("done", metrics={"floors": floors})
        row = Row("", "cell", settings, {}, 0, {}, outcome, "")
        mean = Spread(loss, None, 1)
        return Summary(settings, [row], mean, mean, None, None, None, None, None)

    some = [found(loss) for loss in (0.9, 0.66, 0.53, 0.46, 0.458)]
    monkeypatch.setattr(guide, "summaries", lambda results: some)
    told = list(guide.floors(guide.studied()[0]))
    assert told[0].endswith("with a loss of 0.9000, is above every floor.")
    ends = ["no memory* (0.6600).", *["one lag* (0.5200)."] * 2, "both lags* (0.4500)."]
    assert all(line.endswith(end) for line, end in zip(told[1:], ends, strict=True))


def test_seeds_above_a_goal_that_the_mean_misses_are_told(guide):
    cells = guide.load_export(guide.STUDIES / "delayed_xor.json").cells
    right = [
        cell.outcome.metrics["accuracy"]
        for cell in cells
        if (cell.settings["task"], cell.settings["rule"]) == ("delayed_xor_500", "bptt")
    ]
    assert np.mean(right) < 0.95 and (met := sum(np.array(right) >= 0.95))
    assert f"; `bptt` ({met} of {len(right)} seeds did), " in guide.PAGE.read_text()


def test_the_map_is_that_of_the_rules(places):
    page = places.PAGE.read_text()
    assert places.written(page) == page, "run: python bench/rule_map.py"
    between = page.split(places.START)[1].split(places.END)[0]
    assert sorted(re.findall(r"`(\w+)`", between)) == sorted(m.__name__ for m in tg.rules.RULES)
    row = next(line for line in between.splitlines() if line.startswith("| a neuron: own |"))
    assert "`eprop`" in row and "`block_diagonal`" not in row


def test_the_worst_gap_of_eprop_counts_real_and_studied_tasks(guide):
    cells = guide.load_export(guide.STUDIES / "sequential_digits.json").cells
    gap = 100 * np.subtract(*(
        np.mean([c.outcome.metrics["accuracy"] for c in cells if c.settings["rule"] == rule])
        for rule in ("eprop", "bptt")
    ))  # fmt: skip
    behind = dict(guide.behind_bptt("eprop"))
    assert behind["sequential_mnist, study sequential_digits"] == pytest.approx(gap)
    assert len(behind) > len(guide.REAL) and min(behind.values()) <= gap
    assert f"at worst {min(behind.values()):+.1f} points to BPTT" in guide.PAGE.read_text()
