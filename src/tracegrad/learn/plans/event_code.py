"""event_code: a stage's numbers, its neuron's step and its way back, written as C."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.model.neuron import ports, seen_current
from tracegrad.model.stage import Stage
from tracegrad.native.scalar import Code, NoCodeError, translate

# No array overlaps another, which `restrict` alone does not tell GCC once the function is inlined.
_EVERY_NEURON = '_Pragma("GCC ivdep") for (int64_t j = 0; j < n; j++)'


class Names(NamedTuple):
    """What a stage is made of, in the order in which C sees it."""

    rows: tuple[str, ...]
    coefficients: tuple[str, ...]
    ports: tuple[str, ...]
    below: tuple[str, ...]
    itself: tuple[str, ...]

    @staticmethod
    def of(stage: Stage) -> "Names":
        """Those of a stage."""
        known = ports(stage.neuron)
        recurrent = stage.recurrent or {}
        return Names(
            tuple(stage.rest(1).s),
            tuple(stage.coefficients),
            known,
            tuple(p for p in known if p in stage.weight),
            tuple(p for p in known if p in recurrent),
        )


class Asked(NamedTuple):
    """What a plan wants of a stage on the way back."""

    taps: Taps
    signals: tuple[str, ...]  # what there is a cotangent of: OUTPUT, taps
    own_weight: bool  # whether the self-weight is kept
    coefficients: bool  # whether coefficients have a gradient


def shape(stage: Stage, names: Names) -> str:
    """The head of a file: types, numbers, and which currents have weights."""
    known = {"float32": "float", "float64": "double"}
    if stage.dtype.name not in known:
        raise NoCodeError(f"C has no type for weights of {stage.dtype.name}.")
    real = known[stage.dtype.name]
    return "\n".join(
        (
            f"#define REAL {real}",
            f"enum {{ STATES = {len(names.rows)}, PORTS = {len(names.ports)}, "
            f"COEFFICIENTS = {len(names.coefficients)}, BIAS = {int(stage.bias is not None)}, "
            f"RECURRENT = {int(bool(names.itself))} }};",
            "#include <stdint.h>",
            "#include <tgmath.h>",
            flags("FROM_BELOW", names.ports, names.below),
            flags("FROM_ITSELF", names.ports, names.itself),
        )
    )


def flags(name: str, known: tuple[str, ...], chosen: Collection[str]) -> str:
    """A table of C: which of what is known is chosen."""
    values = ", ".join(str(int(k in chosen)) for k in known) or "0"
    return f"static const int {name}[{max(len(known), 1)}] = {{{values}}};"


def _group(name: str, keys: Sequence[Any], scalar: Any) -> list[tuple[str, Any]]:
    return [(f"{name}{k}[j]", scalar) for k in range(len(keys))]


def _pointers(name: str, count: int, access: str = "const ") -> str:
    lines = (f"{access}REAL *restrict {name}{k} = {name}[{k}];" for k in range(count))
    return " ".join(lines)


def _stores(code: Code, places: list[str]) -> str:
    """Every output is computed before the first is stored: an output may be an input's place."""
    held = (f"const REAL out{k} = {text};" for k, text in enumerate(code.outputs))
    stored = (f"{place} out{k};" for k, place in enumerate(places))
    return "\n    ".join((*code.statements, *held, *stored))


def step_function(stage: Stage, names: Names) -> str:
    """`neuron_step` of forward.h."""
    scalar = jax.ShapeDtypeStruct((), stage.dtype)
    inputs = [
        *_group("s", names.rows, scalar),
        ("z[j]", scalar),
        *_group("i", names.ports, scalar),
        *_group("c", names.coefficients, scalar),
    ]

    def step(*flat: Any) -> tuple:
        values = iter(flat)
        s = {row: next(values) for row in names.rows}
        z = next(values)
        current = {port: next(values) for port in names.ports}
        c = {name: next(values) for name in names.coefficients}
        after = stage.neuron.step(c, s, z, seen_current(stage.neuron, current))
        return (*(after[row] for row in names.rows), stage.neuron.output(c, after))

    code = translate(_of_type(step, stage), inputs)
    places = [*(f"s{k}[j] =" for k in range(len(names.rows))), "z[j] ="]
    return f"""static void neuron_step(int64_t n, REAL *const *s, REAL *restrict z, REAL *const *i,
                        const REAL *const *c) {{
  {_pointers("s", len(names.rows), "")} {_pointers("i", len(names.ports))}
  {_pointers("c", len(names.coefficients))}
  {_EVERY_NEURON} {{
    {_stores(code, places)}
  }}
}}"""


def back_code(stage: Stage, names: Names, asked: Asked) -> tuple[str, set[str]]:
    """`neuron_back` of backward.h, and which of its arrays it reads."""
    scalar = jax.ShapeDtypeStruct((), stage.dtype)
    fixed = [(f"taps[{k}]", scalar) for k in range(2 * len(asked.taps))]
    states, taps = len(names.rows), len(asked.taps)
    inputs = [
        *_group("a", range(states + 1 + taps), scalar),
        *_group("asked", asked.signals, scalar),
        *_group("before", names.rows, scalar),
        ("z[j]", scalar),
        *_group("after", names.rows, scalar),
        *_group("i", names.ports, scalar),
        *_group("c", names.coefficients, scalar),
        *((f"own{names.ports.index(p)}[j]", scalar) for p in names.itself if asked.own_weight),
        *fixed,
    ]
    code = translate(_of_type(_one_step_back(stage, names, asked), stage), inputs)
    read = {inputs[index][0].split("[")[0] for index in code.needs}
    order = [*(f"a{k}[j] =" for k in range(states + 1 + taps))]
    order += [f"d_i{k}[j] =" for k in range(len(names.ports))]
    order += [f"d_c{k}[j] +=" for k in range(len(names.coefficients)) if asked.coefficients]
    declared = (("asked", len(asked.signals)), ("before", states), ("after", states))
    declared += (("i", len(names.ports)), ("c", len(names.coefficients)), ("own", len(names.ports)))
    pointers = " ".join(_pointers(name, count) for name, count in declared)
    gradients = _pointers("d_c", len(names.coefficients), "") if asked.coefficients else ""
    text = f"""static void neuron_back(int64_t n, REAL *const *a, const REAL *const *asked,
    const REAL *const *before, const REAL *restrict z, const REAL *const *after,
    const REAL *const *i, const REAL *const *c, const REAL *const *own,
    const REAL *restrict taps, REAL *const *d_c, REAL *const *d_i) {{
  {_pointers("a", states + 1 + taps, "")} {_pointers("d_i", len(names.ports), "")}
  {pointers} {gradients}
  {_EVERY_NEURON} {{
    {_stores(code, order)}
  }}
}}"""
    return text, read


def _one_step_back(stage: Stage, names: Names, asked: Asked) -> Any:
    """Cotangents of a neuron before a step, of its currents and coefficients, from those after."""
    neuron = stage.neuron

    def back(*flat: Any) -> tuple:
        values = iter(flat)
        after_s = {row: next(values) for row in names.rows}
        tapped = {OUTPUT: next(values)} | {name: next(values) for name in asked.taps}
        for name in asked.signals:
            tapped[name] = tapped[name] + next(values)
        before = {row: next(values) for row in names.rows}
        z = next(values)
        s = {row: next(values) for row in names.rows}
        current = {port: next(values) for port in names.ports}
        c = {name: next(values) for name in names.coefficients}
        own = {port: next(values) for port in names.itself if asked.own_weight}
        fixed = {name: (next(values), next(values)) for name in asked.taps}
        for name, tap in reversed(asked.taps.items()):
            tapped[tap.source] = tapped[tap.source] + fixed[name][1] * tapped[name]
        _, emitted = jax.vjp(neuron.output, c, s)
        d_c, d_s = emitted(tapped[OUTPUT])
        d_s = {row: after_s[row] + d_s[row] for row in names.rows}
        _, stepped = jax.vjp(
            lambda c, s, z, i: neuron.step(c, s, z, seen_current(neuron, i)), c, before, z, current
        )
        more, d_before, d_z, d_i = stepped(d_s)
        d_z = d_z + sum(weight * d_i[port] for port, weight in own.items())
        decayed = (fixed[name][0] * tapped[name] for name in asked.taps)
        result = (*(d_before[row] for row in names.rows), d_z, *decayed)
        result += tuple(d_i[port] for port in names.ports)
        return (*result, *(d_c[k] + more[k] for k in names.coefficients if asked.coefficients))

    return back


def _of_type(function: Any, stage: Stage) -> Any:
    """The function with outputs of the stage's type, whatever constants made of them."""

    def cast(*flat: Any) -> list:
        return [jnp.asarray(value, stage.dtype) for value in function(*flat)]

    return cast
