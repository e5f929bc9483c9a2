"""Check: one quantity that is needed against what is there; what is unknown stays unknown."""

from typing import NamedTuple

from tracegrad.substrate.presets import Limit

UNKNOWN = "unknown"


class Check(NamedTuple):
    """One comparison: what is needed, what is there, and whether it fits (None: unknown)."""

    what: str
    needed: str
    there: str
    fits: bool | None
    source: str


def count(what: str, needed: int, limit: Limit | None, unit: str = "") -> Check:
    """A count against a limit."""
    told = f"{needed:,}{unit}"
    if limit is None:
        return Check(what, told, UNKNOWN, None, "")
    return Check(what, told, f"{limit.value:,}{unit}", needed <= limit.value, limit.source)


def at_least(what: str, needed: int, limit: Limit | None, unit: str = "") -> Check:
    """A bound from below: too much is too much, but enough room for it says nothing."""
    told = f"at least {needed:,}{unit}"
    if limit is None:
        return Check(what, told, UNKNOWN, None, "")
    short = False if needed > limit.value else None
    return Check(what, told, f"{limit.value:,}{unit}", short, limit.source)
