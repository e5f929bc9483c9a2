"""Presets: platforms as files, each number with its source; what is not confirmed is absent.

A preset is a TOML file, one of those in `presets/` or the user's own, read strictly.
"""

import tomllib
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tracegrad.errors import UsageError


@dataclass(frozen=True)
class Limit:
    """A number of a platform and where it was read."""

    value: int | float
    source: str


@dataclass(frozen=True)
class Limits:
    """What there is of everything; None is unknown. Counts of the whole chip unless said.

    An axon into a core is a line that it tells from others, one out of it a core that one of its
    neurons reaches; `destinations_per_neuron` are groups of cores that a neuron can send to,
    `routes` those that a router tells apart. `steps_per_second` is a rate with learning,
    `acceleration` how much faster than the network's own time a device runs that has no steps;
    `nanoseconds_per_step` is the time of a step without spikes.
    """

    cores: Limit | None = None
    neurons: Limit | None = None
    neurons_per_core: Limit | None = None
    synapses: Limit | None = None
    synapses_per_neuron: Limit | None = None
    inputs: Limit | None = None
    outputs: Limit | None = None
    axons_in_per_core: Limit | None = None
    axons_out_per_core: Limit | None = None
    destinations_per_neuron: Limit | None = None
    routes: Limit | None = None
    synapse_bytes_per_core: Limit | None = None
    bytes_per_core: Limit | None = None
    bytes: Limit | None = None
    delay_steps: Limit | None = None
    input_events_per_step: Limit | None = None
    spikes_per_step: Limit | None = None
    steps_per_second: Limit | None = None
    acceleration: Limit | None = None
    nanoseconds_per_step: Limit | None = None
    nanoseconds_per_synaptic_operation: Limit | None = None
    nanoseconds_per_weight_update: Limit | None = None
    picojoules_per_synaptic_operation: Limit | None = None


@dataclass(frozen=True)
class Order:
    """What changes bits: the order of events in a step, where sums saturate, scope of chance.

    `events` names the parts of a step in their order, `saturation` is "event" (every arriving event
    is added on its own) or "step" (once, for the sum), `random` is "element" or "shared" (one draw
    a step for all). None is unknown.
    """

    source: str
    events: tuple[str, ...] | None = None
    saturation: str | None = None
    random: str | None = None


@dataclass(frozen=True)
class Products:
    """An engine that computes sums of products, in the grammar of `sum_of_products`.

    Traces of the line x1, x2, ..., of the neuron y1, y2, ..., and numbers of each synapse (tags);
    `supplied` says that a neuron can put values of its own in place of its traces.
    """

    source: str
    pre_traces: int
    post_traces: int
    tags: int
    supplied: bool


@dataclass(frozen=True)
class Engine:
    """The part that learns: what a weight change may read there; None is unknown.

    `sees` names quantities among `pre_trace`, `post_trace`, `neuron_state`, `signal` (a third
    factor of every neuron), `synapse_trace` (a number of its own at every synapse),
    `other_weights` (those of other synapses, for symmetric feedback) and `anything` (software).
    `products` is the form of a rule there, if it is not free.
    """

    source: str
    learns: bool
    sees: tuple[str, ...] | None = None
    products: Products | None = None


@dataclass(frozen=True)
class Format:
    """A number format; `fraction` is a choice where the platform leaves the point to the user."""

    source: str
    bits: int
    fraction: int = 0
    signed: bool = True
    overflow: str = "saturate"
    rounding: str = "nearest"


@dataclass(frozen=True)
class WeightFormat:
    """The memory of weights; `scale` is "matrix", "neuron" or "point"."""

    source: str
    bits: int
    fraction: int = 0
    signed: bool = True
    overflow: str = "saturate"
    rounding: str = "stochastic"
    scale: str = "matrix"
    headroom: float = 2.0
    most: int | None = None
    accumulator_bits: int | None = None
    accumulator_fraction: int | None = None


@dataclass(frozen=True)
class Numbers:
    """The formats; None: not that of a fixed-point machine, or unknown.

    `slopes` is that of the surrogate derivative and of the distance to threshold it is read at,
    `tags` that of a number which every synapse keeps for itself.
    """

    weights: WeightFormat | None = None
    states: Format | None = None
    decays: Format | None = None
    shift_decays: bool = False
    slopes: Format | None = None
    traces: Format | None = None
    tags: Format | None = None
    signals: Format | None = None


@dataclass(frozen=True)
class Program:
    """Formats that the platform leaves to the program that runs there: choices, no facts.

    What learns there needs them, so a substrate has them; what a platform fits is asked of
    `Numbers` alone. Signals below `signal_threshold` are not sent.
    """

    decays: Format | None = None
    slopes: Format | None = None
    signals: Format | None = None
    signal_threshold: float | None = None


@dataclass(frozen=True)
class Flaws:
    """Device mismatch, as standard deviations of logarithms."""

    source: str
    time_constants: float = 0.0
    thresholds: float = 0.0
    gains: float = 0.0


@dataclass(frozen=True)
class Preset:
    """A platform. `sources` spells out the letters by which numbers are cited."""

    name: str
    kind: str
    summary: str
    sources: dict[str, str]
    limits: Limits = Limits()
    numbers: Numbers = Numbers()
    program: Program = Program()
    order: Order | None = None
    engine: Engine | None = None
    flaws: Flaws | None = None


def names() -> list[str]:
    """The presets that come with the library."""
    folder = files("tracegrad.substrate").joinpath("presets")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith("toml"))


def load(name: str) -> Preset:
    """A preset by its name, or a file of the user's that ends in .toml."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"There is no substrate file {path}.")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The substrate file {path} cannot be read: {error}.") from error
        return parse(text, name)
    if name not in names():
        raise UsageError(
            f"There is no substrate {name}. There are {', '.join(names())}, or give a .toml file."
        )
    file = files("tracegrad.substrate").joinpath("presets", f"{name}.toml")
    return parse(file.read_text(encoding="utf-8"), f"{name}.toml")


def parse(text: str, file: str) -> Preset:
    """Read a preset; `UsageError` names the file, the key, what was expected and what came."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers too long, of lists too deep
        raise UsageError(f"{file} is no valid TOML: {error}.") from error
    preset = _read(Preset, table, file, "")
    _check(preset, table, file)
    _check_program(preset, file)
    _check_chance(preset, file)
    return preset


CHOICES = {
    "overflow": ("saturate", "wrap"),
    "rounding": ("nearest", "floor", "stochastic", "stochastic_shared", "lfsr", "lfsr_shared"),
    "scale": ("matrix", "neuron", "point"),
    "saturation": ("event", "step"),
    "random": ("element", "shared"),
}


def _check(preset: Preset, table: dict[str, Any], file: str) -> None:
    """Every source is one of the letters, and every choice is known."""

    def walk(part: dict[str, Any], prefix: str) -> None:
        for key, value in part.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            elif key in CHOICES and value not in CHOICES[key]:
                raise UsageError(
                    f"{file}: {prefix}{key} must be one of {', '.join(CHOICES[key])}, got "
                    f"{value!r}."
                )
            elif key == "source" and value not in preset.sources:
                raise UsageError(
                    f"{file}: {prefix}{key} must be one of the [sources], "
                    f"{', '.join(preset.sources)}, got {value!r}."
                )

    walk({key: part for key, part in table.items() if key != "sources"}, "")


def _check_program(preset: Preset, file: str) -> None:
    """A number is the platform's or the program's."""
    fixed = {name for name, format in vars(preset.numbers).items() if format}
    if preset.numbers.shift_decays:
        fixed.add("decays")
    for name, format in vars(preset.program).items():
        if format is not None and name in fixed:
            raise UsageError(
                f"{file}: program.{name} is given, but [numbers] has the platform's own. Leave one "
                "of them out."
            )


def _check_chance(preset: Preset, file: str) -> None:
    """Roundings draw as `order.random` says, for it is what it means."""
    scope = None if preset.order is None else preset.order.random
    others = {
        "shared": ("stochastic", "lfsr"),
        "element": ("stochastic_shared", "lfsr_shared"),
    }.get(scope or "", ())
    for part in ("numbers", "program"):
        for name, format in vars(getattr(preset, part)).items():
            rounding = getattr(format, "rounding", None)
            if rounding in others:
                raise UsageError(
                    f"{file}: {part}.{name}.rounding is {rounding}, but order.random is {scope}. "
                    "Make them agree."
                )


def _read(kind: Any, table: Any, file: str, prefix: str) -> Any:
    """A dataclass from a table."""
    if not isinstance(table, dict):
        raise UsageError(f"{file}: {prefix.rstrip('.')} must be a table, got {table!r}.")
    hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}
    if unknown := [key for key in table if key not in known]:
        raise UsageError(
            f"{file}: there is no key {prefix}{unknown[0]}, expected one of {', '.join(known)}."
        )
    for name, field in known.items():
        if name not in table and field.default is MISSING:
            raise UsageError(f"{file}: {prefix}{name} is missing.")
    values = {key: _value(hints[key], table[key], file, f"{prefix}{key}") for key in table}
    return kind(**values)


def _value(hint: Any, value: Any, file: str, key: str) -> Any:
    """One value of the type that is declared; whole numbers serve as reals."""
    kinds = [k for k in (get_args(hint) if isinstance(hint, UnionType) else (hint,))]
    for kind in kinds:
        if is_dataclass(kind):
            return _read(kind, value, file, f"{key}.")
        if get_origin(kind) is dict and isinstance(value, dict):
            return {k: _value(str, v, file, f"{key}.{k}") for k, v in value.items()}
        if get_origin(kind) is tuple and isinstance(value, list):
            return tuple(_value(str, v, file, f"{key}[{i}]") for i, v in enumerate(value))
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is kind:
            return value
    wanted = " or ".join(_described(k) for k in kinds if k is not NoneType)
    raise UsageError(f"{file}: {key} must be {wanted}, got {value!r}.")


def _described(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return "a list of texts"
    if get_origin(kind) is dict:
        return "a table"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]
