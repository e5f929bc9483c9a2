"""A peer's process takes steps when asked, and its failure is a reason; no peer is needed here."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tracegrad.bench import Row, Workload, given

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
SCRIPT = f"""
import sys, time
sys.path.insert(0, {str(PEERS)!r})
from worker import serve

def good(work):
    print("noise of a library")
    calls = []
    def step():
        calls.append(1)
        time.sleep(0.01)
        return float(work.xs.sum() + work.alpha + len(calls))
    return step

def bad(work):
    raise RuntimeError("no such kernel")

def slow(work):
    time.sleep(60)

serve({{"good": good, "bad": bad, "slow": slow}})
"""


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(PEERS), str(ROOT / "bench"), *sys.path])
    import compare

    return compare


@pytest.fixture
def call(made, tmp_path):
    work, script = tmp_path / "work.npz", tmp_path / "peer.py"
    made.write_work(given(Workload(4, 3, 2, 5, 2), 0.5), work)
    script.write_text(SCRIPT)
    return lambda mode: [sys.executable, str(script), mode, str(work)]


BASE_ROW = Row(lambda: 0.02, 0, 0.0, "")


def test_a_peer_takes_steps_in_turn_with_the_base(made, call):
    found = made.compared(call("good"), BASE_ROW, 0.0)
    inputs = given(Workload(4, 3, 2, 5, 2), 0.5).xs.sum()
    assert found["loss"] == pytest.approx(inputs + np.exp(-1 / 5) + 1)
    assert found["runs"] == 3 and found["ms"] >= 10.0
    assert found["ratio"] == pytest.approx(found["ms"] / 20.0)
    assert found["growth_mib"] >= 0.0


def test_a_peer_that_fails_is_skipped_with_its_last_words(made, call):
    assert made.compared(call("bad"), BASE_ROW, 0.0) == {"skipped": "RuntimeError: no such kernel"}


def test_a_peer_that_says_nothing_is_skipped(made, call, monkeypatch):
    monkeypatch.setattr(made, "PATIENCE", 3.0)
    assert made.compared(call("slow"), BASE_ROW, 0.0) == {"skipped": "no answer within 3 s"}


def test_a_peer_without_environment_or_package_is_skipped_with_the_reason(
    made, monkeypatch, tmp_path
):
    monkeypatch.setattr(made, "FOLDER", tmp_path)
    (row,) = made.of_peer("spyx", "W1", tmp_path, BASE_ROW, 0.0)
    assert row["skipped"] == "not installed: make bench-peers"
    (tmp_path / "spyx").mkdir()
    (tmp_path / "spyx" / made.FAILED).write_text("ERROR: No matching distribution")
    (row,) = made.of_peer("spyx", "W1", tmp_path, BASE_ROW, 0.0)
    assert row["skipped"] == "ERROR: No matching distribution"
    (row,) = made.of_peer("sparx", "W1", tmp_path, BASE_ROW, 0.0)
    assert "no package of this name" in row["skipped"]


def test_every_peer_has_a_script_pinned_packages_and_modes_for_all_work(made):
    for name, peer in made.peers().items():
        if "skipped" not in peer:
            assert (PEERS / peer["script"]).is_file(), name
            assert all("==" in package for package in peer["packages"]), name
            text = (PEERS / peer["script"]).read_text()
            assert peer["modes"].keys() == made.OURS.keys()
            modes = {mode.split(",")[0] for modes in peer["modes"].values() for mode in modes}
            assert all(f'"{mode}' in text for mode in modes), name
