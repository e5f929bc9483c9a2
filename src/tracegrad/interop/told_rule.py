"""Told rule: a learning rule as NIR metadata, and the rule from it."""

import json
from typing import Any

from tracegrad.errors import DataError, UsageError
from tracegrad.interop.described import described, parsed, restored
from tracegrad.learn.filter import AbstractFilter
from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.influences.pattern import AbstractPattern
from tracegrad.learn.rule import Rule
from tracegrad.learn.rules import RULES
from tracegrad.learn.signal import AbstractSignal

NAME, PARTS = "learning_rule", "learning_rule_parts"
BASES = (AbstractInfluence, Graph, Horizon, AbstractFilter, AbstractSignal, AbstractPattern)
PIECES = ("influence", "filter", "signal")


def told(rule: Rule) -> dict[str, str]:
    """Name and parts of a rule; `UsageError` for a composition of the user's own."""
    if rule.name not in (make.__name__ for make in RULES):
        raise UsageError(f"The rule {rule.name} is not of the library. Write the graph without it.")
    parts = {piece: described(getattr(rule, piece)) for piece in PIECES}
    return {NAME: rule.name, PARTS: json.dumps(parts)}


def rule_of(metadata: dict[str, Any]) -> Rule | None:
    """The rule that a graph's metadata tells of, if it does."""
    if NAME not in metadata:
        return None
    makers: dict[str, Any] = {make.__name__: make for make in RULES}
    name, text = metadata[NAME], metadata.get(PARTS)
    if not isinstance(name, str) or name not in makers:
        raise DataError(f"{NAME} must be one of {', '.join(makers)}, got {name!r}. Write it again.")
    parts = parsed(text, PARTS)
    if set(parts) != set(PIECES):
        raise DataError(f"{PARTS} must have {', '.join(PIECES)}, got {', '.join(parts)}.")
    made = {piece: restored(parts[piece], BASES, piece) for piece in PIECES}
    kinds = {"influence": (AbstractInfluence, Graph, Horizon), "filter": AbstractFilter}
    for piece, kind in (kinds | {"signal": AbstractSignal}).items():
        if not isinstance(made[piece], kind):
            raise DataError(f"{PARTS}: {type(made[piece]).__name__} is no {piece}. Write it again.")
    return makers[name]()._replace(**made)
