"""Exact: whether a quantity is a whole number that float64 and int64 both hold without rounding."""

import math
from fractions import Fraction

from tracegrad.errors import UsageError

BITS = 53  # float64 counts in steps of one up to 2^53


def require_exact(what: str, fraction: int, magnitude: float) -> None:
    """Refuse sums of up to `magnitude` in steps of 2^-fraction that float64 would round.

    Otherwise neither the order of a sum nor a fused operation can change a bit, and whole numbers
    in C are the same numbers. `UsageError` names the quantity and its width.
    """
    bits = fraction + math.frexp(magnitude)[1]
    if bits > BITS:
        raise UsageError(
            f"{what} needs {bits} bits before rounding, and float64 is exact up to {BITS}. Give "
            "the substrate narrower formats (decays, slopes, traces), in a .toml of your own."
        )


def whole(what: str, value: float, fraction: int) -> int:
    """The whole number k of value = k 2^-fraction; `UsageError` if there is none."""
    scaled = math.ldexp(value, fraction)
    if scaled != math.floor(scaled):
        raise UsageError(
            f"{what} must be a multiple of 2^-{fraction} to be exact on the device, got {value}."
        )
    return int(scaled)


def exponent(what: str, value: float) -> int:
    """The e of value = 2^e; `UsageError` if it is no power of two."""
    mantissa, power = math.frexp(value)
    if mantissa != 0.5:
        raise UsageError(f"{what} must be a power of two on the device, got {value}.")
    return power - 1


def least(threshold: float, fraction: int) -> int:
    """The least k for which k 2^-fraction reaches a threshold, at most one that no k reaches."""
    if threshold > 2.0 ** (BITS - fraction):
        return 2**BITS + 1
    return math.ceil(Fraction(threshold) * Fraction(2) ** fraction)
