"""Rows are timed in turn, slow ones fewer times, and ratios are to the base."""

import pytest

from tracegrad.bench import Row, measure, timed
from tracegrad.bench.rows import BASE


def row(name: str, seconds: float, log: list[str], memory: int = 2**20) -> Row:
    def run() -> float:
        log.append(name)
        return seconds

    return Row(run, memory, 0.5, "Step: for a test")


def test_rows_take_turns_after_one_run_to_warm_up():
    log: list[str] = []
    found = {name: row(name, 0.25, log) for name in "abc"}
    times = timed(found, 0.0, least=2)
    assert log == [*"abc", *"abc", *"abc"]
    assert times == {name: [0.25, 0.25] for name in "abc"}


def test_a_turn_of_short_runs_lasts_a_tenth_of_a_second():
    log: list[str] = []
    timed({"slow": row("slow", 0.25, log), "fast": row("fast", 0.03, log)}, 1.0)
    assert "".join(name[0] for name in log[2:13]) == "sffffsffffs"


def test_every_row_has_an_equal_share_of_the_time():
    log: list[str] = []
    times = timed({"slow": row("slow", 3.0, log), "fast": row("fast", 0.5, log)}, 20.0)
    assert times == {"slow": [3.0] * 4, "fast": [0.5] * 20}
    assert "".join(name[0] for name in log[2:10]) == "sfsfsfsf"  # in turn as long as both run


def test_a_row_that_takes_longer_than_there_is_time_runs_a_few_times():
    times = timed({"slow": row("slow", 1e3, []), "fast": row("fast", 1.0, [])}, 10.0)
    assert len(times["slow"]) == 3 and len(times["fast"]) == 5


def test_ratios_are_of_medians_to_the_base():
    log: list[str] = []
    said: list[str] = []
    ours = row("ours", 0.25, log, memory=3 * 2**20)
    makers = {BASE: lambda: row(BASE, 0.5, log), "ours": lambda: ours}
    base, other = measure("W", makers, 0.0, said.append)
    assert (base.ratio, base.ms, base.runs) == (1.0, 500.0, 3)
    assert other.ratio == pytest.approx(0.5)
    assert (other.workload, other.memory_mib, other.compile_s) == ("W", 3.0, 0.5)
    assert said == ["W: compiling expert BPTT", "W: compiling ours", "W: timing 2 rows in turn"]
