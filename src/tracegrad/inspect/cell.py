"""Cell: one neuron as equations, and the linear part of its step, read off its own code.

What a rule calls a trace is a tangent: the neuron's own forward-mode derivative, with the traces
as tangents of the states, is the recursion of the traces. It is traced from the same derivative
that `learn.local` takes, so detached resets and surrogates are those of the library.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import sympy as sp
from jaxtyping import Array

from tracegrad.inspect import notation as n
from tracegrad.inspect.symbolic import UnknownPrimitive, read
from tracegrad.model.neuron import AbstractNeuron, ports, seen_current
from tracegrad.model.parameter import Positive, setting
from tracegrad.model.surrogate import AbstractSurrogate

Linear = dict[sp.Symbol, Any]  # the factor of each tangent; factors that are zero are left out
LONG = 40  # operations from which an expression is left as it came: other forms take seconds


class _Marked(AbstractSurrogate):
    """Stands for a surrogate while a neuron is traced: spike and slope are calls with names."""

    label: str = setting("")

    def derivative(self, x: Array) -> Array:
        """The slope, as a call named psi."""
        return _named(f"psi{self.label}", x)

    def __call__(self, x: Array) -> Array:
        """The spike, as a call named Theta."""

        @jax.custom_jvp
        def spike(x: Array) -> Array:
            return _named(f"Theta{self.label}", x)

        @spike.defjvp
        def _(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
            return spike(*primals), self.derivative(*primals) * tangents[0]

        return spike(x)


class Cell(NamedTuple):
    """One neuron of given equations: its symbols, its step and output, and their linear parts.

    `step` and `rows` tell a state in terms of new states that were computed before it; both are in
    the order in which they can be evaluated.
    """

    coefficients: dict[str, sp.Symbol]
    ports: tuple[str, ...]
    step: dict[str, Any]
    output: Any
    rows: dict[str, Linear]
    emit: Linear
    slopes: dict[sp.Symbol, Any]  # psi[t] and its argument


def labels(neuron: AbstractNeuron, names: Iterable[str]) -> tuple[str, ...]:
    """What ports are called in equations: '' where the neuron has no other."""
    return tuple(name if len(ports(neuron)) > 1 else "" for name in names)


def tangent(port: str) -> sp.Symbol:
    """The tangent of a port's current."""
    return sp.Symbol(f"dI_{port}")


def shift(name: str) -> sp.Symbol:
    """The tangent of a coefficient."""
    return sp.Symbol(f"dc_{name}")


def derive(neuron: AbstractNeuron, c: dict[str, sp.Symbol], states: Iterable[str]) -> Cell:
    """The cell of a neuron without arrays, with coefficients `c` and these states."""
    marked, named = _mark(neuron)
    before = {row: n.state(row, n.BEFORE) for row in states}
    after = {row: n.state(row, n.NOW) for row in states}
    old = {row: n.trace(row, n.BEFORE) for row in states}
    new = {row: n.trace(row, n.NOW) for row in states}
    called = dict(zip(ports(neuron), labels(neuron, ports(neuron)), strict=True))
    shifts = {name: shift(name) for name in c}

    def step(c: Any, s: Any, z: Any, currents: dict[str, Any]) -> Any:
        return marked.step(c, s, z, seen_current(neuron, currents))

    step_now, rows = _linear(
        step,
        (c, before, n.Z_BEFORE, {port: n.current(label) for port, label in called.items()}),
        (shifts, old, n.E_BEFORE, {port: tangent(label) for port, label in called.items()}),
        (after, new),
        named,
    )
    output, emit = _linear(
        lambda c, s: {"z": marked.output(c, s)}, (c, after), (shifts, new), ({}, {}), named
    )
    slopes = _slopes([*rows.values(), emit["z"]])

    def told(expression: Any) -> Any:
        return expression.xreplace({applied: symbol for symbol, applied in slopes.items()})

    return Cell(
        c,
        tuple(called.values()),
        step_now,
        output["z"],
        {row: {s: told(factor) for s, factor in linear.items()} for row, linear in rows.items()},
        {s: told(factor) for s, factor in emit["z"].items()},
        slopes,
    )


def surrogates(neuron: AbstractNeuron) -> dict[str, Any]:
    r"""$\psi(x)$ of each surrogate of a neuron, by the name of its function."""
    x = sp.Symbol("x")
    formulas = {}
    for label, surrogate in _find(neuron).items():
        closed = jax.make_jaxpr(surrogate.derivative)(_scalar())
        formulas[f"psi{label}"] = read(closed, [x], {})[0]
    return formulas


def definitions(neuron: AbstractNeuron, dt: float) -> dict[str, Any]:
    """Each coefficient as an expression of the neuron's parameters; None if it has no symbol."""

    def is_positive(node: object) -> bool:
        return isinstance(node, Positive)

    leaves, treedef = jax.tree.flatten(neuron, is_leaf=is_positive)
    paths = [p for p, _ in jax.tree_util.tree_leaves_with_path(neuron, is_leaf=is_positive)]
    symbols = [
        sp.Symbol(
            jax.tree_util.keystr(path, simple=True, separator="_"),
            positive=is_positive(leaf) or None,
        )
        for path, leaf in zip(paths, leaves, strict=True)
    ]
    arguments = [
        sp.log(s) if isinstance(leaf, Positive) else s
        for s, leaf in zip(symbols, leaves, strict=True)
    ]

    def coefficients(values: list[Array]) -> Any:
        whole = [
            eqx.tree_at(lambda p: p.log, leaf, value) if isinstance(leaf, Positive) else value
            for leaf, value in zip(leaves, values, strict=True)
        ]
        return jax.tree.unflatten(treedef, whole).coefficients(dt)

    closed, shape = jax.make_jaxpr(coefficients, return_shape=True)([_scalar()] * len(leaves))
    names = sorted(shape)
    try:
        return dict(zip(names, read(closed, arguments, {}), strict=True))
    except UnknownPrimitive:
        return dict.fromkeys(names)


def _scalar() -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((), jnp.result_type(float))


def _named(name: str, x: Array) -> Array:
    """`x` through a call that an interpreter knows by its name."""

    def call(x: Array) -> Array:
        return (x > 0).astype(x.dtype)

    call.__name__ = name
    return jax.jit(call)(x)


def _is_surrogate(node: object) -> bool:
    return isinstance(node, AbstractSurrogate)


def _find(neuron: AbstractNeuron) -> dict[str, AbstractSurrogate]:
    """The surrogates of a neuron; a second one gets a number."""
    found = [s for s in jax.tree.leaves(neuron, is_leaf=_is_surrogate) if _is_surrogate(s)]
    return {str(index or ""): surrogate for index, surrogate in enumerate(found)}


def _mark(neuron: AbstractNeuron) -> tuple[AbstractNeuron, dict[str, Callable[..., Any]]]:
    labels = iter(_find(neuron))
    marked = jax.tree.map(
        lambda node: _Marked(next(labels)) if _is_surrogate(node) else node,
        neuron,
        is_leaf=_is_surrogate,
    )
    names = [f"{word}{label}" for word in ("Theta", "psi") for label in _find(neuron)]
    return marked, {name: sp.Function(name) for name in names}


def _linear(
    function: Callable[..., Any], point: tuple, tangents: tuple, known: tuple, named: dict
) -> tuple[dict[str, Any], dict[str, Linear]]:
    """Value of a function of scalars that returns a dict, and the factor of each tangent.

    `known` names outputs and their tangents, for those told in terms of others.
    """
    shapes = jax.tree.map(lambda _: _scalar(), point)
    closed, shape = jax.make_jaxpr(
        lambda point, tangents: jax.jvp(function, point, tangents), return_shape=True
    )(shapes, shapes)
    names, inputs = sorted(shape[0]), jax.tree.leaves(tangents)
    count = len(names)
    after = {i: known[0][name] for i, name in enumerate(names) if name in known[0]}
    new = {count + i: known[1][name] for i, name in enumerate(names) if name in known[1]}
    at = {v: i for i, e in enumerate(closed.jaxpr.eqns) for v in e.outvars}

    def evaluate(direction: sp.Symbol | None) -> list[Any]:
        def along(s: sp.Symbol) -> sp.Integer:
            return sp.Integer(s == direction)

        seen = after | {index: along(s) for index, s in new.items()}
        return read(closed, [*jax.tree.leaves(point), *map(along, inputs)], named, seen)

    def ordered(outputs: list[Any], start: int) -> dict[str, Any]:
        variables = closed.jaxpr.outvars[start:]
        order = sorted(range(count), key=lambda i: at.get(variables[i], -1))
        return {names[i]: outputs[start + i] for i in order}

    factors = {s: ordered(evaluate(s), count) for s in (*inputs, *new.values())}
    linear: dict[str, Linear] = {}
    for row in ordered(evaluate(None), count):
        simple = {s: simplify(factor[row]) for s, factor in factors.items()}
        linear[row] = {s: factor for s, factor in simple.items() if factor != 0}
    return {row: simplify(x) for row, x in ordered(evaluate(None), 0).items()}, linear


def simplify(expression: Any) -> Any:
    """The shortest of a few cheap forms of an expression; `sympy.simplify` would take seconds."""
    whole = sp.sympify(expression)
    if sp.count_ops(whole) > LONG:
        return whole
    forms = [whole, sp.expand(whole), sp.factor_terms(whole), _merge(sp.factor_terms(whole))]
    return min(forms, key=lambda form: (sp.count_ops(form), forms.index(form)))


def _merge(expression: Any) -> Any:
    """Multiply two sums whose product is shorter, as (1 + x)(1 - x)."""
    factors = list(sp.Mul.make_args(expression))
    for i, a in enumerate(factors):
        for b in factors[i + 1 :]:
            product = sp.expand(a * b)
            if a.is_Add and b.is_Add and sp.count_ops(product) <= sp.count_ops(a * b) - 1:
                rest = [f for f in factors if f is not a and f is not b]
                return sp.Mul(product, *rest)
    return expression


def _slopes(linears: list[Linear]) -> dict[sp.Symbol, Any]:
    """A symbol psi[t] for each slope that is met."""
    found: list[Any] = []
    for linear in linears:
        for factor in linear.values():
            for applied in factor.atoms(sp.core.function.AppliedUndef):
                if applied.func.__name__.startswith("psi") and applied not in found:
                    found.append(applied)
    found.sort(key=sp.default_sort_key)
    if len(found) == 1:
        return {sp.Symbol(f"psi{n.NOW}"): found[0]}
    return {sp.Symbol(f"psi_{i + 1}{n.NOW}"): applied for i, applied in enumerate(found)}
