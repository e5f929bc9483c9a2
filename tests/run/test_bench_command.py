"""`tracegrad bench`: a tiny workload measured, its table and result file; mistakes are refused."""

import json

import pytest

from tracegrad.bench import WORKLOADS, Workload
from tracegrad.bench.rows import BASE, ROWS, _default, _online
from tracegrad.run import bench_command
from tracegrad.run.cli import main

TINY = Workload(lines=12, hidden=8, classes=3, steps=6, batch=2)


def some(make, *labels):
    """Fewer rows: compiling is what takes time here."""
    return lambda work, arrays: {label: make(work, arrays)[label] for label in labels}


@pytest.fixture
def tiny_work(monkeypatch):
    monkeypatch.setitem(WORKLOADS, "tiny", TINY)
    monkeypatch.setitem(ROWS, "tiny", some(_default, "eprop, events"))
    monkeypatch.setitem(WORKLOADS, "W3", TINY._replace(batch=1, every=1))
    monkeypatch.setitem(ROWS, "W3", some(_online, "eprop, Adam every step"))
    monkeypatch.setattr(bench_command, "QUICK", 0.0)
    monkeypatch.setenv("COLUMNS", "200")


def test_a_workload_is_measured_and_written(tiny_work, tmp_path, capsys):
    out = tmp_path / "speed.json"
    assert main(["bench", "tiny", "W3", "--quick", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    content = json.loads(out.read_text())
    rows = {(row["workload"], row["row"]): row for row in content["rows"]}
    assert content["settings"]["tiny"]["hidden"] == 8 and content["commit"]
    assert rows["tiny", BASE]["ratio"] == 1.0
    assert all(row["ms"] >= row["best_ms"] > 0 for row in content["rows"])
    assert all(row["memory_mib"] > 0 and row["runs"] >= 3 for row in content["rows"])
    plans = {key: row["plan"].split(":")[0] for key, row in rows.items()}
    assert plans["tiny", BASE] == "by hand"
    assert plans["tiny", "eprop, events"] == "Events"
    assert plans["W3", "eprop, Adam every step"] == "Step"
    for (workload, label), row in rows.items():
        assert workload in printed and label in printed and f"{row['ratio']:.2f}" in printed
    assert "by hand" in printed and "Events" in printed  # the column of plans
    assert "eprop, Adam every step goes by Step: the weights change at every step" in printed
    assert f"Numbers: {out}" in printed


MISTAKES = [
    (["W9"], "There is no workload W9. There are W1, "),
    (["W1", "--slow"], "Unrecognized options: --slow"),
    (["--out", "speed.txt"], "out must be a JSON file, got speed.txt."),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_sentence_before_anything_is_measured(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
