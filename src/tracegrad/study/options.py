"""Options: what a study sets on a task or a rule beside the configuration of a run."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from inspect import Parameter, signature
from typing import Any

from tracegrad.errors import UsageError

PLAIN = (bool, int, float, str)


def keywords(make: Callable[..., Any], options: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Keyword arguments of a maker from options by name; `UsageError` names one that it lacks.

    An option is an argument with a plain value (`count`), or a field of the maker's settings: an
    argument whose default is a dataclass (`delay` of `delayed_xor`).

        keywords(delayed_xor, {"delay": 0.2, "count": 64}, "task_options")
    """
    if not options:
        return {}
    parameters = signature(make).parameters.values()
    plain = {p.name: p.default for p in parameters if type(p.default) in PLAIN}
    settings = next((p for p in parameters if _is_settings(p)), None)
    inner = {} if settings is None else _plain_fields(settings.default)
    given, changed = {}, {}
    for name, value in options.items():
        if name not in plain and name not in inner:
            known = ", ".join([*plain, *inner]) or "none"
            raise UsageError(f"there is no option {place}.{name}, expected one of {known}.")
        target = given if name in plain else changed
        default = plain.get(name, inner.get(name))
        target[name] = _like(default, value, f"{place}.{name}")
    if settings is not None and changed:
        given[settings.name] = replace(settings.default, **changed)
    return given


def _is_settings(parameter: Parameter) -> bool:
    return is_dataclass(parameter.default) and not isinstance(parameter.default, type)


def _plain_fields(settings: Any) -> dict[str, Any]:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {name: value for name, value in values.items() if type(value) in PLAIN}


def _like(default: Any, value: Any, place: str) -> Any:
    """The value, if it is of the default's kind; a whole number serves as a real."""
    kind = type(default)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{place} must be of the kind of {default!r}, got {value!r}.")
    return value
