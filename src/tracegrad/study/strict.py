"""Strict: a TOML table that is read key by key and refuses what nobody asked for."""

import math
from collections.abc import Mapping
from typing import Any

from tracegrad.errors import UsageError

REQUIRED = object()
WORDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "a table"}


class Section:
    """A table of a file; every complaint names its place, as in `study.toml: sizes.full.seeds`."""

    def __init__(self, table: Any, file: str, name: str = ""):
        """Refuse what is no table."""
        self.file, self.name = file, name
        if not isinstance(table, dict):
            raise UsageError(f"{file}: {name} must be a table, got {table!r}.")
        self.left: dict[str, Any] = dict(table)

    def place(self, key: str) -> str:
        """The full name of a key."""
        return f"{self.name}.{key}" if self.name else key

    def wrong(self, key: str, expected: str, got: Any) -> UsageError:
        """What is wrong with a key."""
        return UsageError(f"{self.file}: {self.place(key)} must be {expected}, got {got!r}.")

    def take(self, key: str, kind: type, default: Any = REQUIRED) -> Any:
        """The value of a key, of that kind; a whole number serves as a real."""
        if key not in self.left:
            if default is REQUIRED:
                raise UsageError(f"{self.file}: {self.place(key)} is missing. Give {WORDS[kind]}.")
            return default
        value = self.left.pop(key)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or (kind is float and not math.isfinite(value)):
            raise self.wrong(key, WORDS[kind], value)
        return value

    def count(self, key: str, default: Any = REQUIRED) -> Any:
        """A whole number of at least 1, or the default, which may be None."""
        value = self.take(key, int, default)
        if value is not None and value < 1:
            raise self.wrong(key, "at least 1", value)
        return value

    def section(self, key: str) -> "Section | None":
        """The table of a key, None where there is none."""
        if key not in self.left:
            return None
        return Section(self.left.pop(key), self.file, self.place(key))

    def finish(self, *known: str) -> None:
        """Refuse keys that nobody took; `known` are the names there are."""
        if self.left:
            name = self.place(next(iter(self.left)))
            raise UsageError(
                f"{self.file}: there is no {name}, expected one of {', '.join(known)}."
            )


def lists(table: Mapping[str, Any], section: Section) -> dict[str, list]:
    """Axes of a grid: every value a list that is not empty and says nothing twice."""
    for key, values in table.items():
        if not isinstance(values, list) or not values:
            raise section.wrong(key, "a list of values", values)
        if len({repr(value) for value in values}) < len(values):
            raise section.wrong(key, "a list of different values", values)
    return dict(table)
