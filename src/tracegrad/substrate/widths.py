"""Widths: bits that each kind of number needs, where that was measured, against those there."""

from typing import NamedTuple

from tracegrad.substrate.check import UNKNOWN, Check
from tracegrad.substrate.demand import Demand
from tracegrad.substrate.presets import Format, Preset, WeightFormat

KINDS = ("weights", "states", "traces", "signals")


class Needed(NamedTuple):
    """Bits with which the gradient is that in float (None: none have), and what it is there.

    `cosine` is that to the gradient in float at the platform's own bits; None if they are unknown.
    """

    bits: int | None
    cosine: float | None


def formats(demand: Demand, preset: Preset) -> dict[str, Format | WeightFormat | None]:
    """The platform's format of each kind of number; traces of synapses are tags where it has them.

    What is left to the program that runs there is no limit, and None as what is unknown.
    """
    numbers = preset.numbers
    tags = numbers.tags if demand.synapse_traces else None
    held = (numbers.weights, numbers.states, tags or numbers.traces, numbers.signals)
    return dict(zip(KINDS, held, strict=True))


def widths(demand: Demand, preset: Preset, needed: dict[str, Needed] | None) -> list[Check]:
    """Bits of each kind against those there; without measurements what is needed is unknown.

    Enough bits fit. Too few are no proof: the gradient there is told, and whether it is good enough
    only training says, unless it does not point the way at all.
    """
    known = formats(demand, preset)
    if needed is None:
        return [_check(kind, UNKNOWN, format) for kind, format in known.items()]
    return [_measured(kind, found, known[kind]) for kind, found in needed.items()]


def _check(kind: str, told: str, format: Format | WeightFormat | None) -> Check:
    there, source = (UNKNOWN, "") if format is None else (f"{format.bits}", format.source)
    return Check(f"bits of {kind}", told, there, None, source)


def _measured(kind: str, needed: Needed, format: Format | WeightFormat | None) -> Check:
    told = "more than any" if needed.bits is None else f"{needed.bits}"
    check = _check(kind, told, format)
    if format is None or needed.cosine is None:
        return check
    if needed.bits is not None and needed.bits <= format.bits:
        return check._replace(fits=True)
    there = f"{check.there}, a gradient of cosine {needed.cosine:.2f}"
    return check._replace(there=there, fits=None if needed.cosine > 0 else False)
