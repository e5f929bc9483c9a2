r"""Encoding: numbers to events, and events to the input of a network."""

import numpy as np
from jaxtyping import Float, Float32

from tracegrad.data.events import Events, microseconds
from tracegrad.errors import UsageError

LEVELS = 2**20  # a step across more levels than this is a wrong threshold, not a signal


def bin_events(
    events: Events, dt: float, steps: int, at_most: int | None = None
) -> Float32[np.ndarray, "steps lines"]:
    r"""Count the events of each line in each time step.

    $x_{tl} = |\{e : l_e = l,\ \lfloor \tau_e / \Delta t \rfloor = t\}|$   (1)

    `dt` in seconds. Events with polarity give 2 `lines` columns: ON of every line, then OFF of
    every line. `at_most` bounds a count (1: spike or none). An event at or after `steps * dt` is an
    error: cut with `events.before(...)` if you mean to. O(N + steps lines).

        xs = bin_events(Events(np.array([0, 1500]), np.array([2, 0]), lines=3), dt=1e-3, steps=2)
    """
    width = microseconds(dt, "dt")
    if len(events) and events.time[-1] >= steps * width:
        raise UsageError(
            f"The events must end before steps * dt = {steps * width} us, the last is at "
            f"{events.time[-1]} us. Raise steps, or cut with Events.before."
        )
    column, columns = events.line.astype(np.int64), events.lines
    if events.polarity is not None:
        column, columns = column + np.where(events.polarity == 1, 0, columns), 2 * columns
    cell = (events.time // width) * columns + column
    counts = np.bincount(cell, minlength=steps * columns).reshape(steps, columns)
    return (counts if at_most is None else np.minimum(counts, at_most)).astype(np.float32)


def latency(values: Float[np.ndarray, "lines"], duration: float, dark: float = 0.0) -> Events:
    r"""One spike a line, the earlier the larger the value; silence at `dark` and below.

    $\tau_l = D - \max(1\,\mu s,\ D\,(v_l - d)/(1 - d))$ for $v_l > d$   (1)

    rounded to the microsecond, so 1 fires at 0 and all fire before `duration` D (seconds). `values`
    in [0, 1], without unit.

        events = latency(np.array([1.0, 0.5, 0.0]), duration=10e-3)  # at 0 and 5000 us
    """
    if not ((values >= 0) & (values <= 1)).all() or not 0 <= dark < 1:
        raise UsageError("values and dark must lie in [0, 1], dark below 1. Scale them first.")
    span = microseconds(duration, "duration")
    line = np.flatnonzero(values > dark)
    early = np.rint(span * (values[line] - dark) / (1 - dark)).astype(np.int64)
    return _sorted(span - np.maximum(1, early), line, len(values))


def poisson(rates: Float[np.ndarray, "lines"], duration: float, rng: np.random.Generator) -> Events:
    r"""Independent Poisson processes: $N_l \sim \mathrm{Poisson}(\lambda_l D)$, times uniform.

    `rates` in hertz, `duration` D in seconds; O(number of spikes).

        events = poisson(np.array([50.0, 10.0]), duration=1.0, rng=np.random.default_rng(0))
    """
    if not (np.isfinite(rates) & (rates >= 0)).all():
        raise UsageError("rates must be finite and not negative (hertz). Rectify them first.")
    span = microseconds(duration, "duration")
    line = np.repeat(np.arange(len(rates)), rng.poisson(rates * duration))
    time = rng.integers(0, span, size=len(line))
    return _sorted(time, line, len(rates))


def delta(signal: Float[np.ndarray, "T lines"], dt: float, threshold: float) -> Events:
    r"""Level crossing: an event for every `threshold` by which the signal has moved.

    $n_t = \mathrm{trunc}(x_t/\theta - k_{t-1}),\quad k_t = k_{t-1} + n_t,\quad k_{-1} = 0$   (1)

    $|n_t|$ events at time $t\,\Delta t$, ON (polarity 1) where $n_t > 0$, OFF (0) where $n_t < 0$,
    so $|x_t - \theta k_t| < \theta$ always: the events alone give the signal back to within one
    threshold. The level starts at 0: subtract $x_0$ if only changes matter. `dt` in seconds;
    `threshold` in the unit of the signal. O(T lines + events).

        events = delta(np.array([[0.0], [2.5], [1.2]]), dt=1e-3, threshold=1.0)  # ON ON OFF
    """
    if not (np.isfinite(threshold) and threshold > 0):
        raise UsageError(f"threshold must be positive and finite, got {threshold}.")
    scaled = signal / threshold
    if not (np.abs(scaled) < LEVELS).all():  # also false for NaN
        raise UsageError(
            f"signal must be finite and below {LEVELS} thresholds. Remove NaN or raise threshold."
        )
    crossed = np.zeros(signal.shape, dtype=np.int64)
    level = np.zeros(signal.shape[1], dtype=np.int64)
    for t, now in enumerate(scaled):
        crossed[t] = np.trunc(now - level)
        level += crossed[t]
    step, line = np.nonzero(crossed)
    count = crossed[step, line]
    step, line, count = (np.repeat(a, np.abs(count)) for a in (step, line, count))
    time = step * microseconds(dt, "dt")
    return Events(time, line, signal.shape[1], (count > 0).astype(np.int8))


def _sorted(time: np.ndarray, line: np.ndarray, lines: int) -> Events:
    order = np.argsort(time, kind="stable")
    return Events(time[order], line[order], lines)
