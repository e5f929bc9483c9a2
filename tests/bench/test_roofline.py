"""What a step has to do, counted by hand for a small network, and shares of given peaks."""

import pytest

from tracegrad.bench import Workload, given, roofline
from tracegrad.bench.cost import Cost, by_events, dense, every_step
from tracegrad.bench.roofline import Peaks, peaks, shares
from tracegrad.bench.workload import spikes

WORK = Workload(lines=3, hidden=5, classes=2, steps=7, batch=4)
SAMPLES, WEIGHTS = 28, 3 * 5 + 5 * 5 + 5 * 2


def test_reverse_mode_does_each_product_forward_and_for_the_gradient():
    exact, local = dense(WORK, through_recurrence=True), dense(WORK, through_recurrence=False)
    assert local.operations == 2 * SAMPLES * (2 * WEIGHTS + 5 * 2)
    assert exact.operations - local.operations == 2 * SAMPLES * 25
    # Two tapes written and read, the input read twice, weights and two moments read and written.
    assert exact.bytes == local.bytes == 4 * (4 * SAMPLES * 5 + 2 * SAMPLES * 3 + 6 * WEIGHTS)


def test_events_cost_a_row_each_way():
    cost = by_events(WORK, incoming=0.5, spikes=0.25)
    rows = 0.5 * 5 + 0.25 * 5 + 0.25 * 2
    assert cost.operations == pytest.approx(SAMPLES * (2 * rows + 2 * 5 * 2))


def test_an_update_at_every_step_moves_traces_weights_and_moments():
    adam, sgd = every_step(WORK, traces=3, moments=2), every_step(WORK, traces=3, moments=0)
    traces = 3 * 4 * (3 + 5) * 5
    assert adam.bytes == 7 * 8 * (traces + 3 * WEIGHTS)
    assert adam.bytes - sgd.bytes == 7 * 8 * 2 * WEIGHTS


def test_a_share_is_of_the_longer_of_the_two_needs():
    machine = Peaks(product=100.0, copy_in_cache=50.0, copy_in_memory=10.0)
    share = shares(Cost(operations=20.0, bytes=5.0), 0.4, machine)
    assert share == pytest.approx({"operations": 0.5, "bytes": 0.25, "bound": 0.5})
    assert shares(Cost(1.0, 30.0), 0.6, machine)["bound"] == pytest.approx(1.0)


def test_peaks_are_measured(monkeypatch):
    monkeypatch.setattr(roofline, "SIDE", 64)
    monkeypatch.setattr(roofline, "SIZES", {"in cache": 1000, "in memory": 2000})
    assert all(1e5 < peak < 1e15 for peak in peaks())


def test_spikes_are_counted():
    arrays = given(WORK, 0.5)
    silent, loud = arrays._replace(w_in=0 * arrays.w_in), arrays._replace(w_in=0 * arrays.w_in + 9)
    incoming = arrays.xs.mean() * 3
    assert spikes(WORK, silent) == pytest.approx((incoming, 0.0))
    assert spikes(WORK, loud)[1] > 3.0
