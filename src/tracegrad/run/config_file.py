"""Config file: a `Config` as TOML, read strictly; TOML has no null, so None is written "none".

A file says its format. In the first, which did not, the signal "symmetric" also stood for the
rule's own.
"""

import tomllib
from dataclasses import asdict, fields, is_dataclass, replace
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import tomli_w

from tracegrad.errors import UsageError
from tracegrad.learn.signals import Symmetric
from tracegrad.run.config import RULES, Config
from tracegrad.run.defaults import defaults
from tracegrad.run.user_neuron import source_of

NONE, FORMAT = "none", 2
T = TypeVar("T")


def to_toml(config: Config) -> str:
    """Every setting of a config, as text that `from_toml` turns into an equal config."""
    return tomli_w.dumps({"format": FORMAT, **_writable(asdict(config))})


def from_toml(text: str, name: str = "configuration", folder: Path = Path()) -> Config:
    """Read a config; keys that are left out keep the defaults of the task, rule and neuron.

    The file of a user's neuron is looked for in `folder`. `UsageError` names the key, what was
    expected and what came; `name` says where it came from.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers too long, of lists too deep
        raise UsageError(f"{name} is no valid TOML: {error}.") from error
    try:
        rule = _named(table, "learning", "rule") or "block_diagonal"
        _modernise(table, _scalar("learning.rule", rule, str))
        neuron = _named(table, "network", "neuron")
        if neuron is not None:
            neuron = _within(folder, _scalar("network.neuron", neuron, str))
            table["network"]["neuron"] = neuron
        readout = _named(table, "network", "readout")
        base = defaults(
            _scalar("task", table.get("task", "digits"), str),
            rule,
            neuron,
            _scalar("network.readout", readout, str) if readout not in (None, NONE) else None,
        )
        return _filled(base, table)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


def _modernise(table: dict[str, Any], rule: str) -> None:
    """Drop the format; what the first format meant by "symmetric" is said as it is said now.

    A rule that fixes its signal is left its own. `UsageError` where a rule's own is another one, so
    that the word has two meanings.
    """
    number = table.pop("format", 1)
    if number not in (1, FORMAT):
        raise UsageError(f"format must be {FORMAT}, got {number!r}. A newer tracegrad wrote this.")
    if number == FORMAT or _named(table, "learning", "signal") != "symmetric" or rule not in RULES:
        return
    if "signal" not in signature(RULES[rule]).parameters:
        del table["learning"]["signal"]
    elif not isinstance(own := RULES[rule]().signal, Symmetric):
        raise UsageError(
            f'learning.signal "symmetric" has two meanings for {rule}: files without a format '
            f'meant its own, which is {type(own).__name__}. Write signal = "{NONE}" for that, or '
            f"format = {FORMAT} in the first line for the symmetric one."
        )


def _named(table: dict[str, Any], section: str, key: str) -> Any:
    """What a section says, if there is such a section and it does."""
    part = table.get(section)
    return part.get(key) if isinstance(part, dict) else None


def _within(folder: Path, neuron: str) -> str:
    """The neuron with its file looked for in `folder`."""
    source = source_of(neuron)
    return neuron if source is None else f"{folder / source.file}:{source.name}"


def load_config(path: Path) -> Config:
    """Read a config from a TOML file; it names a user's neuron relative to itself."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"There is no configuration file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration file {path} cannot be read: {error}.") from error
    return from_toml(text, str(path), path.parent)


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _writable(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    return NONE if value is None else value


def _filled(base: T, table: Any, prefix: str = "") -> T:
    """`base` with what the table says."""
    if not isinstance(table, dict):
        raise UsageError(f"{prefix.rstrip('.')} must be a table, got {table!r}.")
    hints = get_type_hints(type(base), include_extras=False)
    known = [field.name for field in fields(base)]  # type: ignore[arg-type]  # T is a dataclass
    if unknown := [key for key in table if key not in known]:
        raise UsageError(
            f"there is no setting {prefix}{unknown[0]}, expected one of {', '.join(known)}."
        )
    values = {}
    for key, value in table.items():
        old = getattr(base, key)
        nested = is_dataclass(old)
        values[key] = (
            _filled(old, value, f"{key}.") if nested else _scalar(prefix + key, value, hints[key])
        )
    return replace(base, **values)  # type: ignore[type-var]  # T is a dataclass


def _scalar(key: str, value: Any, kind: Any) -> Any:
    """The value, if it is of that kind; whole numbers serve as reals, text as a path."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value == NONE and NoneType in kinds:
        return None
    for one in kinds:
        if get_origin(one) is tuple and isinstance(value, list):
            return tuple(_scalar(f"{key}[{i}]", v, get_args(one)[0]) for i, v in enumerate(value))
        if one is float and type(value) is int:
            return float(value)
        if one is Path and isinstance(value, str):
            return Path(value)
        if type(value) is one:
            return value
    raise UsageError(f"{key} must be {' or '.join(map(_described, kinds))}, got {value!r}.")


def _described(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return "a list of whole numbers"
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        Path: "a path as text",
        NoneType: f'"{NONE}"',
    }
    return words[kind]
