"""What readers were fuzzed with is recorded in pieces, and no piece takes another away."""

import json
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ["a", "b", "c"]


@pytest.fixture
def fuzzing(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import fuzz

    return fuzz


def row(target: str, seconds: int, inputs: int = 1) -> dict:
    return {"target": target, "seconds": seconds, "inputs": inputs}


def test_a_piece_takes_its_place_and_leaves_the_others(fuzzing):
    before = [row("c", 10), row("gone", 10), row("a", 10)]
    assert fuzzing.merged(before, row("b", 60), ORDER) == [row("a", 10), row("b", 60), row("c", 10)]
    assert fuzzing.merged(before, row("a", 10, 2), ORDER) == [row("a", 10, 2), row("c", 10)]


def test_a_shorter_one_does_not_take_the_place_of_a_longer_one(fuzzing):
    before = [row("a", 600, 9)]
    assert fuzzing.merged(before, row("a", 60), ORDER) == before


def test_every_row_keeps_the_commit_it_is_of(fuzzing, tmp_path):
    path = tmp_path / "fuzz.json"
    assert fuzzing.record(path) == []
    rows = [row("a", 10), row("b", 60) | {"commit": "new"}]
    path.write_text(json.dumps({"commit": "old", "rows": rows}))
    assert [one["commit"] for one in fuzzing.record(path)] == ["old", "new"]


def test_an_unknown_target_is_refused(fuzzing, monkeypatch, capsys):
    monkeypatch.setattr(fuzzing, "targets", lambda: ORDER)
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--only", "d"])
    with pytest.raises(SystemExit):
        fuzzing.main()
    assert "there is no target 'd'; there are a, b, c" in capsys.readouterr().err


def test_what_is_done_is_recorded_at_once_and_what_breaks_a_reader_is_not(fuzzing, monkeypatch):
    written = []
    monkeypatch.setattr(fuzzing, "targets", lambda: ORDER)
    monkeypatch.setattr(fuzzing, "record", lambda path: [])
    monkeypatch.setattr(fuzzing.result, "write", lambda name, limits, rows: written.append(rows))
    monkeypatch.setattr(
        fuzzing, "fuzz", lambda name, s: row(name, s) | {"found": "it" if name == "b" else None}
    )
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--seconds", "9"])
    with pytest.raises(SystemExit):
        fuzzing.main()
    assert [[one["target"] for one in rows] for rows in written] == [["a"]]
    assert written[0][0]["commit"] == fuzzing.result.COMMIT


@pytest.mark.parametrize(
    ("memory", "inputs"),
    [(222, [2000, 4000, 8000, 16000, 32000, 64000]), (500, [2000] * 6)],
    ids=["little", "much"],
)
def test_a_process_takes_more_inputs_while_it_takes_little_memory(
    fuzzing, monkeypatch, memory, inputs
):
    asked = []

    def sliced(name: str, seconds: int, inputs: int) -> CompletedProcess:
        asked.append((seconds, inputs))
        said = f"#7\tDONE   cov: 5 ft: 6 corp: 3/9b exec/s: 1 rss: {memory}Mb\nDone 7 runs in 110 s"
        return CompletedProcess([], 0, "", said + "econd(s)")

    monkeypatch.setattr(fuzzing, "sliced", sliced)
    assert fuzzing.fuzz("a", 600) == {
        "target": "a", "inputs": 42, "seconds": 600, "coverage": 5, "kept": 3,
        "memory_mib": memory, "found": None,
    }  # fmt: skip
    assert asked == list(zip([240, 240, 240, 240, 160, 50], inputs, strict=True))


def test_processes_shorter_than_a_second_come_to_an_end(fuzzing, monkeypatch):
    said = "#7\tDONE   cov: 5 ft: 6 corp: 3/9b exec/s: 1 rss: 500Mb\nDone 7 runs in 0 second(s)"
    monkeypatch.setattr(fuzzing, "sliced", lambda *given: CompletedProcess([], 0, "", said))
    assert fuzzing.fuzz("a", 3)["inputs"] == 21


def test_a_process_ends_by_inputs_beside_those_that_it_begins_with(fuzzing, monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(fuzzing, "KEPT", tmp_path)
    monkeypatch.setattr(
        fuzzing.subprocess, "run", lambda call, **rest: called.append(call) or "done"
    )
    (tmp_path / "a-b").mkdir()
    for name in "xyz":
        (tmp_path / "a-b" / name).touch()
    assert fuzzing.sliced("a b", 9, 20) == "done"
    assert {"-max_total_time=9", "-runs=23"} <= set(called[0])
