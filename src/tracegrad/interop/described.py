"""Described: settings of the library's objects as JSON text, and the objects from it.

`{"kind": "SuperSpike", "slope": 10.0}` is a class of the library and its settings; arrays are left
out. Only classes that derive from those asked for are made, so a file cannot name anything else.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_type_hints

import jax

from tracegrad.errors import DataError, UsageError
from tracegrad.model.abstract_connection import AbstractConnection
from tracegrad.model.parameter import Positive

NOTHING: Mapping[str, Any] = MappingProxyType({})
PLAIN = (bool, int, float, str)


def described(part: Any) -> dict[str, Any]:
    """Kind and settings of a dataclass of the library; its arrays are left out.

    Raises `UsageError` for a class from elsewhere, which no reader could make again.
    """
    kind = type(part)
    if not kind.__module__.startswith("tracegrad."):
        raise UsageError(
            f"{kind.__name__} is not of the library, so no reader of the file could make it again. "
            "Use one of the library's."
        )
    told = {"kind": kind.__name__}
    for field in fields(part):
        value = getattr(part, field.name)
        if not isinstance(value, jax.Array | Positive | AbstractConnection):
            told[field.name] = _plain(value)
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, PLAIN):
        return value
    if is_dataclass(value):
        return described(value)
    raise UsageError(f"A setting {value!r} cannot be written as text. Leave it at its default.")


def parsed(text: Any, what: str) -> dict[str, Any]:
    """The table in JSON text; `DataError` with one sentence if it is none."""
    try:
        table = json.loads(text, parse_constant=_no_number)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{what} must be JSON, and is not: {error}. Write the file again."
        ) from None
    if not isinstance(table, dict):
        raise DataError(f"{what} must be a JSON table, got {table!r}. Write the file again.")
    return table


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def restored(
    told: Any, bases: tuple[type, ...], what: str, arrays: Mapping[str, Any] = NOTHING
) -> Any:
    """The object that `described` told of, with `arrays` besides; one of the classes of `bases`."""
    if not isinstance(told, dict) or not isinstance(told.get("kind"), str):
        raise DataError(f"{what} must have a kind, got {told!r}. Write the file again.")
    known = {kind.__name__: kind for base in bases for kind in _kinds(base)}
    kind = known.get(told["kind"])
    if kind is None:
        raise DataError(
            f"{what} must be one of {', '.join(sorted(known))}, got {told['kind']!r}. A newer "
            "tracegrad wrote it, or another program."
        )
    hints = get_type_hints(kind)
    values = dict(arrays)
    for name, value in told.items():
        if name == "kind":
            continue
        if name not in hints or name in arrays:
            raise DataError(f"{what}: {kind.__name__} has no setting {name}. Write it again.")
        values[name] = _value(hints[name], value, bases, f"{what}.{name}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: {error}") from error


def _value(hint: Any, value: Any, bases: tuple[type, ...], what: str) -> Any:
    """A setting, of the type that its class declares."""
    if isinstance(value, dict):
        return restored(value, bases, what)
    if isinstance(value, list):
        return tuple(_value(None, each, bases, what) for each in value)
    kinds = [k for k in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if k in PLAIN]
    if value is not None and kinds and type(value) not in kinds:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise DataError(f"{what} must be of type {names}, got {value!r}. Write the file again.")
    return value


def _kinds(base: type) -> Iterator[type]:
    """The classes of the library that derive from `base`, itself included."""
    if base.__module__.startswith("tracegrad.") and not base.__name__.startswith("Abstract"):
        yield base
    for below in base.__subclasses__():
        yield from _kinds(below)
