"""A small study, and ways to run it with and without worker processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study_workers import outcome
from tracegrad.study.agenda import Agenda
from tracegrad.study.store import Job, Store
from tracegrad.study.study import Study
from tracegrad.study.study_file import read_study

TEXT = """
name = "small"
question = "Which rule learns?"

[base]
task = "yin_yang"
network.hidden = [4]
learning.batch = 8
task_options.count = 16
task_options.test_count = 8

[[grid]]
rule = ["bptt", "eprop"]

[sizes.full]
seeds = 3
seconds = 300
epochs = 1

[sizes.smoke]
seeds = 2
seconds = 300
epochs = 1
keep = { rule = ["bptt"] }
"""
TUNING = """
[tuning]
trials = 3
epochs = 2
parameters."learning.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
parameters."network.input_gain" = { among = [1.0, 2.0] }
"""


def small(more: str = "", size: str = "full") -> Study:
    return read_study(TEXT + more, "small.toml", size)


def advance(agenda: Agenda, most: int, last: bool = False) -> list[Job]:
    """Up to so many jobs, one at a time, without processes; of those at hand the first or last."""
    ran = []
    while len(ran) < most:
        at_hand = []
        while (job := agenda.take()) is not None:
            at_hand.append(job)
        if not at_hand:
            break
        chosen = at_hand.pop(-1 if last else 0)
        for job in at_hand:
            agenda.lost(job, 0)
            agenda.deaths[job.digest] = 0
        agenda.put(chosen, outcome(chosen.cell))
        ran.append(chosen)
    return ran


@pytest.fixture
def store(tmp_path: Path) -> Callable[[str], Store]:
    """A result file by name; opening it again closes the one before, as a killed process does."""
    opened: dict[str, Store] = {}

    def make(name: str = "results") -> Store:
        if name in opened:
            opened[name].close()
        opened[name] = Store(tmp_path / f"{name}.sqlite")
        return opened[name]

    return make
