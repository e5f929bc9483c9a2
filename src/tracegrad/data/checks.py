"""Checks: what settings of a task must hold, refused in one sentence."""

from tracegrad.data.events import microseconds
from tracegrad.errors import UsageError


def at_least(low: int, **values: int) -> None:
    """Every value must be `low` or more."""
    for name, value in values.items():
        if value < low:
            raise UsageError(f"{name} must be at least {low}, got {value}.")


def within(low: int | float, high: float, **values: float) -> None:
    """Every value must lie in [low, high]."""
    for name, value in values.items():
        if not low <= value <= high:
            raise UsageError(f"{name} must lie in [{low}, {high}], got {value}.")


def whole_steps(dt: float, **durations: float) -> None:
    """Every duration (seconds) must be a positive whole number of steps of `dt`."""
    for name, value in durations.items():
        if microseconds(value, name) % microseconds(dt, "dt"):
            raise UsageError(f"{name} must be a multiple of dt = {dt} s, got {value} s.")
