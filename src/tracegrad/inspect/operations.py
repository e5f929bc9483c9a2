"""Operations: arithmetic of a compiled step, counted from its trace."""

from collections.abc import Callable
from math import prod
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

_FREE = frozenset(
    "broadcast_in_dim reshape squeeze transpose slice dynamic_slice concatenate "
    "convert_element_type copy copy_p stop_gradient iota gather pad rev select_n split "
    "dynamic_update_slice "
    "expand_dims random_wrap random_unwrap".split()
)  # moves, choices and conversions of numbers, no arithmetic


def count_operations(function: Callable, *arguments: Any) -> int:
    """Additions, multiplications and other elementwise arithmetic of one call.

    A product of matrices (b, n, m) and (b, m, o) counts 2 b n m o; every other operation counts one
    for each number it makes; a reduction one for each number it reads. Loops count as often as they
    run, of branches the dearer. Nothing is executed.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Jaxpr) -> int:
    return sum(_one(equation) for equation in jaxpr.eqns)


def _one(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    inner = [_count(body) for value in params.values() for body in _bodies(value)]
    if name == "scan":
        return params["length"] * sum(inner)
    if name == "cond":
        return max(inner)
    if inner:
        return sum(inner[:1]) if name.startswith("custom_") else sum(inner)
    made = sum(prod(out.aval.shape) for out in equation.outvars)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * made * prod(shape[axis] for axis in contracted)
    if name in _FREE:
        return 0
    if name.startswith("reduce_") or name in ("argmax", "argmin", "cumsum"):
        return sum(prod(value.aval.shape) for value in equation.invars)
    return made


def _bodies(value: Any) -> list[Jaxpr]:
    """The programs inside a parameter of an operation."""
    if isinstance(value, ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, Jaxpr):
        return [value]
    if isinstance(value, tuple | list):
        return [body for item in value for body in _bodies(item)]
    return []
