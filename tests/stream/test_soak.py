"""Soak: many events through a pipe, memory flat, every one of them accounted for."""

import sys
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch):
    """The script that measures; by its path, as its name is that of this folder too."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    spec = util.spec_from_file_location("bench_stream", ROOT / "bench" / "stream.py")
    assert spec is not None and spec.loader is not None
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("events", [200_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_memory_is_flat_and_nothing_is_lost(events, bench, record_property):
    row = bench.soak(events)
    counts = row["counts"]
    assert counts["events"] == {"read": events, "learned": events, "dropped": 0, "refused": 0}
    assert (
        counts["labels"]["learned"] == counts["labels"]["read"] == row["steps"] / bench.LABEL_EVERY
    )
    assert counts["steps_learned"] == row["predictions"] == row["steps"]
    assert abs(row["growth"]) < 0.02 and row["spread"] < 0.02
    record_property("events", events)
