"""Bins: against NumPy's histogram; labels late, early and gone; gaps are cut and counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.flow import FORM, LINES, WIDTH, Event, Label, same, steps_of
from tracegrad.data import Events
from tracegrad.stream.bins import NO_LABEL
from tracegrad.stream.sources.records import records

times = st.lists(st.integers(0, 30 * WIDTH), min_size=1, max_size=60).map(sorted)


@given(times, st.integers(0, 2**32 - 1), st.booleans())
def test_steps_are_a_histogram(times, seed, polarity):
    form = FORM._replace(polarity=polarity, gap=100)
    rng = np.random.default_rng(seed)
    line = rng.integers(0, form.lines, len(times))
    sign = rng.integers(0, 2, len(times)).astype(np.int8) if polarity else None
    column = line + (0 if sign is None else form.lines * (sign == 0))
    steps, ledger = steps_of(
        records([Events(np.array(times, np.int64), line, form.lines, sign)]), form
    )
    edges = np.arange(times[0] // WIDTH, times[-1] // WIDTH + 2) * WIDTH
    expected = np.histogram2d(times, column, [edges, np.arange(LINES + 1)])[0]
    assert [step.start for step in steps] == edges[:-1].tolist()
    assert np.array_equal([step.x for step in steps], expected)
    assert ledger.counts.balanced and sum(step.events for step in steps) == len(times)


@given(times, st.integers(1, 7))
def test_steps_do_not_depend_on_how_records_are_cut(times, size):
    flow = [Event(time, time % LINES) for time in times]
    flow.insert(len(flow) // 2, Label(times[len(flow) // 2], 1))
    form = FORM._replace(window=100, gap=100)
    one = steps_of(records(flow), form)[0]
    only = [r for r in flow if isinstance(r, Event)]
    array = Events(np.array(times, np.int64), np.array([e.line for e in only]), LINES)
    parts = [
        Events(array.time[at : at + size], array.line[at : at + size], LINES)
        for at in range(0, len(times), size)
    ]
    without = steps_of(records(parts), form)[0]
    assert same([step._replace(label=NO_LABEL, late=False) for step in one], without)


def labels(flow: list) -> list[tuple[int, int, bool]]:
    """Step, class and lateness of what is labelled; the counts must add up."""
    steps, ledger = steps_of(records(flow))
    assert ledger.counts.balanced
    found = [(s.start // WIDTH, s.label, s.late) for s in steps if s.label != NO_LABEL]
    assert ledger.counts.labels.learned == len(found)
    return found


EVENTS = [Event(step * WIDTH, 0) for step in range(10)]


@pytest.mark.parametrize(
    ("place", "label", "expected"),
    [
        (5, Label(4500, 1), [(4, 1, False)]),  # of the open step
        (5, Label(2500, 1), [(4, 1, True)]),  # late: where it arrives
        (5, Label(7000, 1), [(7, 1, False)]),  # early: waits
        (10, Label(9999, 1), [(9, 1, False)]),  # at the very end
        (10, Label(11_000, 1), []),  # its step never came: dropped
        (0, Label(3000, 1), []),  # before the first event, for later: see below
        (0, Label(0, 1), [(0, 1, False)]),
    ],
)
def test_where_a_label_goes(place, label, expected):
    if place == 0 and label.time == 3000:
        expected = [(3, 1, False)]
    assert labels([*EVENTS[:place], label, *EVENTS[place:]]) == expected


def test_a_label_before_the_first_event_is_late_or_too_late():
    later = [Event(event.time + 10 * WIDTH, 0) for event in EVENTS]
    assert labels([Label(8 * WIDTH, 1), Label(7 * WIDTH, 0), *later]) == [(10, 1, True)]
    assert labels([Label(4 * WIDTH, 1), *later]) == []
    many = [Label(step * WIDTH, 1) for step in range(100)]
    steps, ledger = steps_of(records([*many, *later]))
    assert ledger.counts.labels.dropped >= 90 and ledger.counts.balanced


def test_of_two_labels_of_a_step_the_later_stays():
    assert labels([*EVENTS[:5], Label(4000, 0), Label(3000, 1)]) == [(4, 1, True)]
    assert labels([*EVENTS[:5], Label(6000, 0), Label(6100, 1), *EVENTS[5:]]) == [(6, 1, False)]


def test_a_label_out_of_the_window_is_refused():
    for time in (-1 + 4 * WIDTH, 15 * WIDTH):
        flow = [*EVENTS, Label(time if time > 9 * WIDTH else 3 * WIDTH, 1)]
        with pytest.raises(ValueError, match="Labels must lie within 5 steps of the last event"):
            steps_of(records(flow))


def test_hours_of_silence_are_cut_and_counted():
    hour = 3_600_000_000
    flow = [Event(0, 1), Label(3 * WIDTH, 1), Event(hour, 2), Label(hour, 0), Event(2 * hour, 3)]
    steps, ledger = steps_of(records(flow))
    counts = ledger.counts
    assert len(steps) == 1 + 20 + 1 + 20 + 1
    assert [s.start for s in steps if s.events] == [0, hour, 2 * hour]
    assert counts.jumps == 2 and counts.steps_skipped == 2 * (hour // WIDTH - 1 - 20)
    assert steps[3].label == 1 and counts.balanced and counts.labels.dropped == 0


def test_a_gap_of_the_bound_is_not_cut():
    steps, ledger = steps_of(records([Event(0, 0), Event(21 * WIDTH, 0)]))
    assert len(steps) == 22 and ledger.counts.jumps == 0
    steps, ledger = steps_of(records([Event(0, 0), Event(22 * WIDTH, 0)]))
    assert len(steps) == 22 and ledger.counts.steps_skipped == 1
