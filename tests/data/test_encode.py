import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tracegrad.data.encode import bin_events, delta, latency, poisson
from tracegrad.data.events import Events
from tracegrad.errors import UsageError

TIME, LINE = np.array([0, 999, 1000, 2999]), np.array([1, 1, 0, 1])
signals = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-100, 100),
)


def test_bin_counts_by_hand():
    xs = bin_events(Events(TIME, LINE, 2), dt=1e-3, steps=4)
    assert xs.dtype == np.float32
    assert xs.tolist() == [[0, 2], [1, 0], [0, 1], [0, 0]]


def test_bin_at_most_one():
    xs = bin_events(Events(TIME, LINE, 2), dt=1e-3, steps=3, at_most=1)
    assert xs.tolist() == [[0, 1], [1, 0], [0, 1]]


def test_bin_polarity_is_on_lines_then_off_lines():
    polarity = np.array([1, 0, 0, 1], np.int8)
    xs = bin_events(Events(TIME, LINE, 2, polarity), dt=1e-3, steps=3)
    assert xs.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]]


def test_bin_small_unsigned_lines_do_not_wrap():
    line = np.array([255], np.uint8)
    xs = bin_events(Events(np.array([0]), line, 256, np.array([0], np.int8)), dt=1e-3, steps=1)
    assert np.flatnonzero(xs[0]).tolist() == [511]


def test_bin_refuses_to_drop_late_events():
    with pytest.raises(UsageError, match=r"steps \* dt = 2000 us, the last is at 2999 us"):
        bin_events(Events(TIME, LINE, 2), dt=1e-3, steps=2)


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 4))), st.integers(1, 500))
def test_bin_loses_no_event(pairs, dt):
    pairs.sort()
    time, line = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    xs = bin_events(Events(time, line, 5), dt * 1e-6, steps=10_000 // dt + 1)
    assert xs.sum(axis=0).tolist() == np.bincount(line, minlength=5).tolist()


def test_latency_by_hand():
    events = latency(np.array([0.5, 1.0, 0.0, 0.25]), duration=8e-3)
    assert events.time.tolist() == [0, 4000, 6000]
    assert events.line.tolist() == [1, 0, 3] and events.lines == 4


def test_latency_dark_is_silent_and_the_rest_is_stretched():
    events = latency(np.array([0.5, 0.75, 1.0]), duration=8e-3, dark=0.5)
    assert events.time.tolist() == [0, 4000] and events.line.tolist() == [2, 1]


@given(hnp.arrays(np.float64, 7, elements=st.floats(0, 1)))
def test_latency_all_fire_in_time_and_in_order(values):
    events = latency(values, duration=5e-3)
    bin_events(events, dt=1e-3, steps=5)
    assert set(events.line) == set(np.flatnonzero(values > 0))
    assert (np.diff(values[events.line]) <= 1e-3).all()  # one microsecond of 5 ms is 2e-4


@pytest.mark.parametrize(
    ("values", "dark"), [([1.1], 0.0), ([-0.1], 0.0), ([np.nan], 0.0), ([1.0], 1.0)]
)
def test_latency_refuses(values, dark):
    with pytest.raises(UsageError, match=r"values and dark must lie in \[0, 1\]"):
        latency(np.array(values), 1e-3, dark)


def test_poisson_rate():
    events = poisson(np.array([0.0, 50.0, 200.0]), 100.0, np.random.default_rng(0))
    counts = np.bincount(events.line, minlength=3)
    assert counts[0] == 0
    # 4 standard deviations of a Poisson count
    assert abs(counts[1] - 5000) < 4 * 5000**0.5 and abs(counts[2] - 20000) < 4 * 20000**0.5
    halves = np.histogram(events.time, bins=2, range=(0, 100_000_000))[0]
    assert abs(halves[0] - 12500) < 4 * 12500**0.5 and halves.sum() == len(events)


def test_poisson_follows_its_rng():
    first, again, other = (
        poisson(np.full(3, 20.0), 1.0, np.random.default_rng(s)).time.tolist() for s in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_poisson_refuses(rate):
    with pytest.raises(UsageError, match="rates must be finite and not negative"):
        poisson(np.array([rate]), 1.0, np.random.default_rng(0))


def test_delta_by_hand():
    # levels: 0, 2 (+2), 2 (|2 - 1.2| < 1), 1 (-1), -1 (-2)
    events = delta(np.array([[0.0], [2.5], [1.2], [1.0], [-1.9]]), dt=1e-3, threshold=1.0)
    assert events.time.tolist() == [1000, 1000, 3000, 4000, 4000]
    assert events.polarity is not None and events.polarity.tolist() == [1, 1, 0, 0, 0]
    assert bin_events(events, 1e-3, 5).tolist() == [[0, 0], [2, 0], [0, 0], [0, 1], [0, 2]]


@given(signals, st.floats(0.01, 10))
def test_delta_gives_the_signal_back_to_within_a_threshold(signal, threshold):
    events = delta(signal, 1e-3, threshold)
    steps, lines = signal.shape
    counts = bin_events(events, 1e-3, steps).astype(np.int64)
    level = np.cumsum(counts[:, :lines] - counts[:, lines:], axis=0)
    assert (np.abs(signal - threshold * level) < threshold * (1 + 1e-9)).all()
    assert not (counts[:, :lines] * counts[:, lines:]).any()  # never ON and OFF at once


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, np.inf])
def test_delta_refuses_threshold(threshold):
    with pytest.raises(UsageError, match="threshold must be positive and finite"):
        delta(np.zeros((2, 1)), 1e-3, threshold)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e7])
def test_delta_refuses_signal(value):
    with pytest.raises(UsageError, match="signal must be finite and below 1048576 thresholds"):
        delta(np.full((2, 1), value), 1e-3, 1.0)
