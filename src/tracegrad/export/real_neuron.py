"""Real neuron: a neuron's step, output and their derivatives as C, from the neuron's own code."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tracegrad.errors import UsageError
from tracegrad.export.source import read_file
from tracegrad.model.neuron import CURRENT, seen_current
from tracegrad.model.stage import Stage
from tracegrad.native.scalar import NoCodeError, translate

Function = Callable[[Any, Any, Any, Any], Sequence[Any]]  # of coefficients, states, z and current


class Names(NamedTuple):
    """Coefficients and states in the order of the C arrays."""

    coefficients: tuple[str, ...]
    rows: tuple[str, ...]


def names_of(stage: Stage) -> Names:
    """Those of a stage, by name."""
    return Names(tuple(sorted(stage.coefficients)), tuple(sorted(stage.rest(1).s)))


def constants(stage: Stage) -> np.ndarray:
    """Coefficients (n, count); a zero that nothing reads for a neuron without any."""
    found = [np.asarray(stage.coefficients[name]) for name in names_of(stage).coefficients]
    return np.stack(found or [np.zeros(stage.size)], axis=1)


def neuron_header(stage: Stage) -> str:
    """neuron.h for a stage, whose derivatives are those the rule takes; `UsageError` if there is
    an operation that has no form in C."""
    neuron, names = stage.neuron, names_of(stage)
    k = range(len(names.rows))

    def step(c: Any, s: Any, z: Any, current: Any) -> list[Any]:
        after = neuron.step(c, s, z, seen_current(neuron, {CURRENT: current}))
        return [after[row] for row in names.rows]

    def slopes(c: Any, s: Any, z: Any, current: Any) -> list[Any]:
        def row(index: int) -> Any:
            return jax.grad(lambda *given: step(c, *given)[index], (0, 1, 2))(s, z, current)

        own, echo, drive = zip(*map(row, k), strict=True)
        return [*(by[name] for by in own for name in names.rows), *echo, *drive]

    def emission(c: Any, s: Any, z: Any, current: Any) -> list[Any]:
        slope = jax.grad(lambda s: neuron.output(c, s))(s)
        return [slope[name] for name in names.rows]

    own = [f"own[{a}][{b}] =" for a in k for b in k]
    others = [f"{name}[{a}] =" for name in ("echo", "drive") for a in k]
    parts: dict[str, tuple[Function, list[str]]] = {
        "advance": (step, [f"after[{a}] =" for a in k]),
        "output": (lambda c, s, z, current: [neuron.output(c, s)], ["return"]),
        "local": (slopes, own + others),
        "emit": (emission, [f"emission[{a}] =" for a in k]),
    }
    text, number = read_file("real_neuron.h"), jax.ShapeDtypeStruct((), stage.dtype)
    try:
        for name, (function, places) in parts.items():
            text = text.replace(f"@{name}@", _body(function, names, places, number))
    except NoCodeError as error:
        raise UsageError(f"{type(neuron).__name__} has no form in C: {error}") from error
    return text


def _body(function: Function, names: Names, places: list[str], number: Any) -> str:
    """Statements that put each result in its place; all are of the type `number`."""
    words = [f"c[{index}]" for index in range(len(names.coefficients))]
    words += [f"s[{index}]" for index in range(len(names.rows))]

    def flat(*values: Any) -> list[Any]:
        inner = iter(values)
        c = {name: next(inner) for name in names.coefficients}
        s = {name: next(inner) for name in names.rows}
        return [jnp.asarray(x, number.dtype) for x in function(c, s, *inner)]

    code = translate(flat, [(word, number) for word in (*words, "z", "current")])
    stores = [f"{place} {text};" for place, text in zip(places, code.outputs, strict=True)]
    return "\n    ".join([*code.statements, *stores])
