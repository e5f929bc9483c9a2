"""Slopes: the surrogate derivative as a table over the held distance to threshold."""

import jax.numpy as jnp
import numpy as np

from tracegrad.errors import UsageError
from tracegrad.model.surrogate import (
    AbstractSurrogate,
    Boxcar,
    StraightThrough,
    SuperSpike,
    Triangle,
)
from tracegrad.substrate.slopes import HeldSurrogate

MARGIN = 1e-6  # of a least significant bit; float64 is off by far less
LONGEST = 8192  # entries


def slope_table(held: HeldSurrogate) -> np.ndarray:
    """The held slope at distances 0, 1, ... least significant bits, up to the last that is not 0.

    Read below the threshold, where a format reaches one further. Refuses a surrogate that is not
    even, one without an end, and one for which an entry lies so close to half a bit that the order
    of operations could turn it.
    """
    format, kind = held.number.format, type(held.surrogate).__name__
    x = np.arange(max(-format.low, format.high) + 1) * format.lsb
    fine = np.asarray(held.surrogate.derivative(jnp.asarray(x))) * 2.0**format.fraction
    rest = np.abs(fine - np.floor(fine) - 0.5)
    if np.any(_turnable(held.surrogate, rest)):
        raise UsageError(f"{kind} has a slope halfway between two numbers. Change its slope a bit.")
    mirrored, table = (np.asarray(held.derivative(jnp.asarray(a))) for a in (x, -x))
    if np.any((table != mirrored)[: format.high + 1]):
        raise UsageError(f"{kind} is not even in the distance to threshold, and must be.")
    whole = np.round(table * 2.0**format.fraction).astype(np.int64)
    length = int(np.flatnonzero(whole).max(initial=0)) + 1
    if length > LONGEST:
        raise UsageError(
            f"{kind} needs a table of {length} slopes, more than {LONGEST}. Use a narrower one, or "
            "a format of slopes with a smaller range."
        )
    return whole[:length]


def _turnable(surrogate: AbstractSurrogate, rest: np.ndarray) -> np.ndarray:
    """Which entries, so far from half a bit, the order of operations could turn.

    None of a single product or less; of SuperSpike none that lies there exactly while its slope is
    a whole number: the entry is then a power of two, and so is all on the way to it.
    """
    if isinstance(surrogate, Triangle | Boxcar | StraightThrough):
        return np.zeros(rest.shape, bool)
    exact = isinstance(surrogate, SuperSpike) and float(surrogate.slope).is_integer()
    return (rest < MARGIN) & ~((rest == 0) & exact)
