"""Strict JSON: a text that is read as a dataclass or not at all."""

import json
from dataclasses import fields, is_dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_json(kind: type[T], text: str) -> T:
    """The dataclass `kind` from its JSON; `ValueError` says what is not as it must be.

    Every field must be there and of its type, a real written as one; nothing else may be there, no
    key twice, no NaN and no infinity. Types may be plain ones, unions of them, lists, dictionaries
    of text and dataclasses.
    """
    try:
        value = json.loads(
            text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once
        )
        return _typed(kind, value, "it")  # writing out what is wrong goes as deep as reading it
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text:.40} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _no_number(text)  # 1e999 is read as infinite


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key is there twice")
    return table


def _typed(kind: Any, value: Any, place: str) -> Any:
    if is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        if odd := {field.name for field in fields(kind)} ^ value.keys():
            raise ValueError(f"{place} must have {', '.join(hints)}, is wrong in {sorted(odd)[0]}")
        made: Any = kind
        return made(**{name: _typed(hints[name], part, name) for name, part in value.items()})
    for one in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        if get_origin(one) is list and type(value) is list:
            return [_typed(get_args(one)[0], part, place) for part in value]
        if get_origin(one) is dict and type(value) is dict:
            return {name: _typed(get_args(one)[1], part, place) for name, part in value.items()}
        if one is Any or type(value) is (NoneType if one is None else one):
            return value
    raise ValueError(f"{place} must be {getattr(kind, '__name__', kind)}, got {value!r:.80}")
