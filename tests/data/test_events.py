import numpy as np
import pytest

from tracegrad.data.events import Events, microseconds
from tracegrad.errors import DataError, UsageError

TIME, LINE = np.array([0, 5, 5, 90]), np.array([2, 0, 1, 2])


def test_holds_what_it_is_given():
    events = Events(TIME, LINE, 3)
    assert len(events) == 4 and events.time is TIME and events.polarity is None


def test_no_events_are_events():
    assert len(Events(np.zeros(0, np.int64), np.zeros(0, np.int64), 1)) == 0


def test_before_excludes_its_end_and_keeps_polarity():
    polarity = np.array([1, 0, 1, 0], np.int8)
    early = Events(TIME, LINE, 3, polarity).before(90e-6)
    assert early.time.tolist() == [0, 5, 5] and early.line.tolist() == [2, 0, 1]
    assert early.polarity is not None and early.polarity.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": TIME.astype(float)}, "time must have dtype int64, got float64"),
        ({"time": TIME.astype(np.int32)}, "time must have dtype int64, got int32"),
        ({"line": LINE.astype(float)}, "line must have dtype integer, got float64"),
        ({"polarity": np.ones(4, bool)}, "polarity must have dtype int8, got bool"),
        ({"time": TIME[:, None]}, "time must be a NumPy array of one axis"),
        ({"line": LINE.tolist()}, "line must be a NumPy array of one axis"),
        ({"line": LINE[:3]}, r"line must be as long as time \(4\), got 3"),
        ({"polarity": np.ones(5, np.int8)}, r"polarity must be as long as time \(4\), got 5"),
        ({"lines": 0}, "lines must be at least 1, got 0"),
        ({"time": TIME - 1}, "time must not be negative, got -1"),
        ({"time": TIME[[0, 3, 1, 2]]}, "time must not decrease, but does after event 1"),
        ({"lines": 2}, r"line must lie in \[0, 2\), got 0 to 2"),
        ({"line": LINE - 1}, r"line must lie in \[0, 3\), got -1 to 1"),
        ({"polarity": np.array([1, 0, 1, -1], np.int8)}, r"polarity must be 1 \(ON\) or 0"),
    ],
)
def test_refuses(as_user, change, message):
    good = {"time": TIME, "line": LINE, "lines": 3, "polarity": np.ones(4, np.int8)}
    Events(**good)
    with pytest.raises(UsageError, match=message):
        Events(**(good | change))


def test_microseconds():
    assert microseconds(0.01, "dt") == 10_000 and microseconds(1e-6, "dt") == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1.5e-6, float("nan"), float("inf")])
def test_microseconds_refuses(seconds):
    with pytest.raises(UsageError, match="dt must be a positive whole number of microseconds"):
        microseconds(seconds, "dt")


def test_a_data_error_is_a_usage_error_is_a_value_error():
    assert issubclass(DataError, UsageError) and issubclass(UsageError, ValueError)
