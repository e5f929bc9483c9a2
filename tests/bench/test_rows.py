"""What is compared where: rows of events, which are C for a CPU, on a CPU alone."""

import jax
import pytest

from tracegrad.bench import WORKLOADS, given, rows

SMALL = {"lines": 9, "hidden": 7, "classes": 3, "steps": 5, "batch": 2}


@pytest.mark.parametrize("name", WORKLOADS)
def test_elsewhere_than_on_a_cpu_all_but_events_is_compared(monkeypatch, name):
    work = WORKLOADS[name]._replace(**SMALL)
    here = [*rows(name, work, given(work))]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    there = [*rows(name, work, given(work))]
    assert there == [label for label in here if "events" not in label]
    assert there[0] == "expert BPTT" and (here == there) == (name in ("RTRL", "W1K10"))
