"""A report says what the rows of the SQLite file say: recomputed here with NumPy and plain SQL."""

import json
import re
import sqlite3

import numpy as np
import pytest
from scipy import stats

from tracegrad.study.agenda import Agenda
from tracegrad.study.report import write_report
from tracegrad.study.statistics import paired, spread
from tracegrad.study.store import load_results
from tracegrad.study.study_file import read_study

from .conftest import TEXT, TUNING, advance, small

MORE = """
[[grid]]
rule = ["eprop"]
signal = ["random"]

[[grid]]
rule = ["superspike"]

[goal]
accuracy = 0.5
"""


@pytest.fixture
def made(store, tmp_path):
    """The text of a report and the rows of its file, of four seeds of which the last fails."""
    study = small(MORE + TUNING)
    study = type(study)(**{**vars(study), "seeds": 4})
    kept = store()
    kept.begin(study)
    advance(Agenda(study, kept), 999)
    kept.close()
    text = write_report(load_results(kept.path), tmp_path / "report").read_text()
    base = sqlite3.connect(kept.path)
    rows = base.execute(
        "SELECT settings, seed, metrics, curves FROM cell WHERE kind = 'cell' AND status = 'done'"
    ).fetchall()
    base.close()
    return text, [(json.loads(s), seed, json.loads(m), json.loads(c)) for s, seed, m, c in rows]


def tables(text: str) -> list[list[list[str]]]:
    """The cells of every table of a report, heads and rule first."""
    apart = re.findall(r"(?:^\| .*\n)+", text, flags=re.MULTILINE)
    return [[line[2:-2].split(" | ") for line in table.splitlines()] for table in apart]


TUNED = ("learning.learning_rate", "network.input_gain")


def lines(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """The table of a report: cells by column, by rule and signal."""
    heads, _, *body = tables(text)[0]
    named = [dict(zip(heads, (c.strip() for c in cells), strict=True)) for cells in body]
    return {(line["rule"].strip("`"), line["signal"]): line for line in named}


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?", text)]


def test_every_number_of_the_table_is_that_of_the_rows(made):
    text, rows = made
    table = lines(text)
    assert set(table) == {("bptt", ""), ("eprop", ""), ("eprop", "random")}

    def values(rule: str, signal: str, name: str) -> np.ndarray:
        mine = [r for r in rows if (r[0]["rule"], r[0].get("signal", "")) == (rule, signal)]
        assert [seed for _, seed, _, _ in mine] == [0, 1, 2]
        return np.array([metrics[name] for _, _, metrics, _ in mine])

    for (rule, signal), line in table.items():
        right = 100 * values(rule, signal, "accuracy")
        assert numbers(line["accuracy (%)"]) == pytest.approx(
            [right.mean(), right.std(ddof=1)], abs=0.051
        )
        loss = values(rule, signal, "loss")
        assert numbers(line["loss"]) == pytest.approx([loss.mean(), loss.std(ddof=1)], rel=1e-3)
        assert float(line["step (us)"]) == pytest.approx(
            values(rule, signal, "microseconds_per_step").mean(), abs=0.51
        )
        assert line["seeds"] == "3"
        if rule == "bptt":
            assert line["to BPTT, paired [95 %]"] == ""
            continue
        gap = right - 100 * values("bptt", "", "accuracy")
        interval = stats.ttest_1samp(gap, 0.0).confidence_interval(0.95)
        assert numbers(line["to BPTT, paired [95 %]"]) == pytest.approx(
            [gap.mean(), interval.low, interval.high], abs=0.051
        )


def test_folds_take_the_place_of_seeds(store, tmp_path):
    name = "task_options.count"
    text = TEXT.replace("[base]", f'folds = ["{name}"]\n[base]', 1).replace(
        "task_options.count = 16\n", ""
    )
    text = text.replace('"eprop"]', f'"eprop"]\n"{name}" = [16, 24, 32]')
    text = text.replace("seeds = 3", "seeds = 4", 1) + "[goal]\naccuracy = 0.5\n"
    study, kept = read_study(text, "small.toml", "full"), store()
    kept.begin(study)
    advance(Agenda(study, kept), 999)
    kept.close()
    results = load_results(kept.path)
    told = write_report(results, tmp_path / "report").read_text()
    assert "Folds take the place of seeds: of task_options.count." in told
    table = [line.strip("| ").split(" | ") for line in told.splitlines() if line.startswith("| ")]
    found = {line[0].strip("`"): dict(zip(table[0], line, strict=True)) for line in table[2:]}
    failed = [f"rule {r}, {name} {n}, seed 3" for r in ("bptt", "eprop") for n in (16, 24, 32)]
    assert f"- seed 3 has gone wrong. ({'; '.join(failed)})" in told, "each says its fold"
    right = np.empty((2, 3, 3))
    for row in (row for row in results.cells if row.seed < 3):
        place = ["bptt", "eprop"].index(row.settings["rule"]), row.settings[name] // 8 - 2, row.seed
        right[place] = 100 * row.outcome.metrics["accuracy"]
    means = right.mean(axis=2)
    for rule, values in zip(("bptt", "eprop"), means, strict=True):
        assert found[rule]["seeds"] == "3 folds"
        assert re.fullmatch(r"\d+ \(\d of 9 cells\)", found[rule]["batches to the goal"])
        shown = numbers(found[rule]["accuracy (%)"])
        assert shown == pytest.approx([values.mean(), values.std(ddof=1)], abs=0.051)
    interval = stats.ttest_1samp(means[1] - means[0], 0.0).confidence_interval(0.95)
    gap = np.mean(means[1] - means[0])
    shown = numbers(found["eprop"]["to BPTT, paired [95 %]"])
    assert shown == pytest.approx([gap, interval.low, interval.high], abs=0.051)


def test_batches_to_the_goal_are_read_off_the_curves(made):
    text, rows = made
    for (rule, signal), line in lines(text).items():
        reached = []
        for settings, _, _, curves in rows:
            if (settings["rule"], settings.get("signal", "")) == (rule, signal):
                above = np.flatnonzero([epoch["test_accuracy"] >= 0.5 for epoch in curves])
                reached += [10 * (int(above[0]) + 1)] if len(above) else []
        expected = [round(np.mean(reached)), len(reached), 3] if reached else []
        assert numbers(line["batches to the goal"]) == pytest.approx(expected, abs=0.51)


def test_a_report_says_what_was_refused_what_failed_and_how_it_was_made(made, tmp_path):
    text, _ = made
    assert "16 cells of 4 seeds a line; 9 done, 4 refused, 3 failed, 0 not run yet." in text
    assert "- superspike will not. (rule superspike)" in text
    assert "- seed 3 has gone wrong. (rule bptt, seed 3; rule eprop, seed 3;" in text
    assert "Tuning: 3 trials of 2 epochs for every line, by optuna (TPE), on held-out" in text
    assert "learning.learning_rate from 0.0001 to 0.01 (log); network.input_gain among 1.0, 2.0"
    assert "Student's t interval of the mean of the differences per seed, 95 %, by scipy" in text
    assert "jax 1; commit abc; test, 2 cores, float32." in text
    pictures = re.findall(r"\]\(([^)]*\.png)\)", text)
    assert pictures == ["learning-yin_yang.png", "cost-yin_yang.png"]
    for picture in pictures:
        assert (tmp_path / "report" / picture).stat().st_size > 5000


def test_a_report_says_what_tuning_chose_for_each_line(made, tmp_path):
    """The settings of the trial with the highest score, of the line's own trials."""
    text, _ = made
    base = sqlite3.connect(tmp_path / "results.sqlite")
    kept = "SELECT settings, tuned, metrics FROM cell WHERE kind = 'trial' AND status = 'done'"
    trials = [tuple(map(json.loads, row)) for row in base.execute(kept)]
    base.close()
    assert "## What tuning chose" in text and len(tables(text)) == 2
    heads, _, *body = tables(text)[1]
    assert heads == ["line", "learning_rate", "input_gain"]
    assert len(body) == 4 and body[-1] == ["rule superspike", "", ""], "it was refused"
    for who, *shown in body[:-1]:
        rule, _, signal = who.removeprefix("rule ").partition(", signal ")
        own = [t for t in trials if (t[0]["rule"], t[0].get("signal", "")) == (rule, signal)]
        best = max(own, key=lambda trial: trial[2]["accuracy"])[1]
        assert len(own) == 3 and len({json.dumps(trial[1]) for trial in own}) > 1
        assert shown == [f"{best[name]:.3g}" for name in TUNED]


def test_a_report_without_a_done_cell_says_so(store, tmp_path):
    study, kept = small(), store()
    kept.begin(study)
    kept.close()
    text = write_report(load_results(kept.path), tmp_path / "report").read_text()
    assert "6 cells of 3 seeds a line; 0 done, 0 refused, 0 failed, 6 not run yet." in text


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    inside = 0
    for draws in rng.normal(0.3, 2.0, (2000, 5)):
        mean, low, high, n = paired(draws.tolist())
        assert low is not None and high is not None and n == 5 and low < mean < high
        inside += low <= 0.3 <= high
    assert 0.935 < inside / 2000 < 0.965  # binomial: standard deviation 0.005
    assert paired([1.0]) == (1.0, None, None, 1) and spread([2.0]) == (2.0, None, 1)
    assert spread([1.0, 3.0]) == pytest.approx((2.0, np.sqrt(2.0), 2))
