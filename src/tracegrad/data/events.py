"""Events: who spiked when, as a sorted list."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Int8, Int64, Integer

from tracegrad.errors import UsageError

MICROSECONDS = 1_000_000  # in a second; the unit of event time


@dataclass(frozen=True, eq=False)
class Events:
    """Spikes of `lines` input lines, sorted by time; checked when built, never cast.

    `time` in microseconds, not decreasing; `line` in [0, lines); `polarity` 1 (ON) or 0 (OFF), or
    None where an event is just a spike. Memory: 16 bytes an event, 17 with polarity.

        events = Events(time=np.array([0, 1500]), line=np.array([2, 0]), lines=3)
    """

    time: Int64[np.ndarray, "N"]
    line: Integer[np.ndarray, "N"]
    lines: int
    polarity: Int8[np.ndarray, "N"] | None = None

    def __post_init__(self) -> None:
        """Check kinds, lengths and ranges, in this order."""
        self._check_kinds()
        self._check_ranges()

    def __len__(self) -> int:
        return len(self.time)

    def before(self, end: float) -> "Events":
        """The events before `end` (seconds)."""
        count = np.searchsorted(self.time, microseconds(end, "end"))
        polarity = None if self.polarity is None else self.polarity[:count]
        return Events(self.time[:count], self.line[:count], self.lines, polarity)

    def _check_kinds(self) -> None:
        kinds = {"time": np.int64, "line": np.integer, "polarity": np.int8}
        for field in fields(self):
            value, kind = getattr(self, field.name), kinds.get(field.name)
            if kind is None or value is None:
                continue
            if not isinstance(value, np.ndarray) or value.ndim != 1:
                raise UsageError(f"{field.name} must be a NumPy array of one axis, got {value!r}.")
            if not np.issubdtype(value.dtype, kind):
                raise UsageError(
                    f"{field.name} must have dtype {kind.__name__}, got {value.dtype}. "
                    "Convert it where you know that nothing is lost."
                )
            if len(value) != len(self.time):
                raise UsageError(
                    f"{field.name} must be as long as time ({len(self.time)}), got {len(value)}."
                )

    def _check_ranges(self) -> None:
        if self.lines < 1:
            raise UsageError(f"lines must be at least 1, got {self.lines}.")
        if not len(self):
            return
        if (low := self.time.min()) < 0:
            raise UsageError(
                f"time must not be negative, got {low}. Subtract the time of the start."
            )
        if len(late := np.flatnonzero(np.diff(self.time) < 0)):
            raise UsageError(
                f"time must not decrease, but does after event {late[0]}. "
                "Sort all arrays by np.argsort(time, kind='stable')."
            )
        if self.line.min() < 0 or self.line.max() >= self.lines:
            raise UsageError(
                f"line must lie in [0, {self.lines}), got {self.line.min()} to {self.line.max()}."
            )
        if self.polarity is not None and not np.isin(self.polarity, (0, 1)).all():
            raise UsageError("polarity must be 1 (ON) or 0 (OFF) everywhere. Map it first.")


def microseconds(seconds: float, name: str) -> int:
    """Seconds as a positive whole number of microseconds; `name` is for the message."""
    exact = seconds * MICROSECONDS
    # 1e-6: what a float64 of up to an hour can lose to rounding, in microseconds.
    if not (1 <= exact < 2**53 and abs(exact - round(exact)) < 1e-6):
        raise UsageError(
            f"{name} must be a positive whole number of microseconds, got {seconds} s. Round it."
        )
    return round(exact)
