"""scalar: a function of scalars, traced by JAX, as straight-line C.

Only what the outputs need is written, so the inputs that appear are exactly those that matter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend import core


class NoCodeError(NotImplementedError):
    """A primitive that has no form in C here; the caller falls back to XLA."""


@dataclass(frozen=True, eq=False)
class _Node:
    """A value on its way: how to write it, from which others; an input has a name and an index."""

    kind: str
    write: Callable[..., str]
    arguments: tuple["_Node", ...] = ()
    index: int | None = None


@dataclass(frozen=True)
class Code:
    """C statements, the expression of every output, and the indices of the inputs they need."""

    statements: tuple[str, ...]
    outputs: tuple[str, ...]
    needs: frozenset[int]


def _maximum(a: str, b: str) -> str:
    return f"(({a} >= {b} || {a} != {a}) ? {a} : {b})"


def _minimum(a: str, b: str) -> str:
    return f"(({a} <= {b} || {a} != {a}) ? {a} : {b})"


def _power(a: str, y: int) -> str:
    factors = "*".join([a] * abs(y)) or "(REAL)1"
    return f"({factors})" if y >= 0 else f"((REAL)1/({factors}))"


def _infix(symbol: str) -> Callable[..., str]:
    return lambda a, b: f"({a} {symbol} {b})"


def _call(name: str) -> Callable[..., str]:
    return lambda *arguments: f"{name}({', '.join(arguments)})"


def _same(a: str) -> str:
    return a


_FORMS: dict[str, Callable[..., str]] = {
    "add": _infix("+"),
    "add_any": _infix("+"),
    "sub": _infix("-"),
    "mul": _infix("*"),
    "div": _infix("/"),
    "neg": lambda a: f"(-{a})",
    "max": _maximum,
    "min": _minimum,
    "abs": _call("fabs"),
    "sign": lambda a: f"((REAL)(({a} > 0) - ({a} < 0)))",
    "exp": _call("exp"),
    "exp2": _call("exp2"),
    "log": _call("log"),
    "log2": _call("log2"),
    "log1p": _call("log1p"),
    "expm1": _call("expm1"),
    "tanh": _call("tanh"),
    "logistic": lambda a: f"((REAL)1/((REAL)1 + exp(-{a})))",
    "sqrt": _call("sqrt"),
    "rsqrt": lambda a: f"((REAL)1/sqrt({a}))",
    "sin": _call("sin"),
    "cos": _call("cos"),
    "erf": _call("erf"),
    "floor": _call("floor"),
    "ceil": _call("ceil"),
    "pow": _call("pow"),
    "square": lambda a: f"({a}*{a})",
    "one_minus_square": lambda a: f"(((REAL)1 + {a})*((REAL)1 - {a}))",
    "gt": _infix(">"),
    "lt": _infix("<"),
    "ge": _infix(">="),
    "le": _infix("<="),
    "eq": _infix("=="),
    "ne": _infix("!="),
    "and": _infix("&&"),
    "or": _infix("||"),
    "not": lambda a: f"(!{a})",
    "select_n": lambda which, no, yes: f"({which} ? {yes} : {no})",
    "clamp": lambda low, a, high: _minimum(_maximum(a, low), high),
    "stop_gradient": _same,
    "copy": _same,
    "reshape": _same,
    "squeeze": _same,
    "broadcast_in_dim": _same,
}


def translate(function: Callable[..., Any], inputs: Sequence[tuple[str, Any]]) -> Code:
    """C for a function of flat scalar inputs that returns a tree of scalars.

    `inputs` names each argument in C and gives its type (a `jax.ShapeDtypeStruct` of shape ()).
    The outputs come in the order of `jax.tree.leaves`. `NoCodeError` names what has no form in C.
    """
    closed = jax.make_jaxpr(lambda *flat: jax.tree.leaves(function(*flat)))(*(t for _, t in inputs))
    entered = [
        _Node(_kind(shape.dtype), lambda name=name: name, (), index)
        for index, (name, shape) in enumerate(inputs)
    ]
    outputs = _follow(closed.jaxpr, closed.consts, entered)
    return _emit(outputs)


def _follow(jaxpr: Any, consts: Sequence[Any], inputs: Sequence[_Node]) -> list[_Node]:
    """The nodes of a jaxpr's outputs; calls are followed into the function they call."""
    known: dict[Any, _Node] = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= {v: _constant(value) for v, value in zip(jaxpr.constvars, consts, strict=True)}

    def read(atom: Any) -> _Node:
        return _constant(atom.val) if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        arguments = [read(atom) for atom in equation.invars]
        for variable, node in zip(equation.outvars, _results(equation, arguments), strict=True):
            known[variable] = node
    return [read(atom) for atom in jaxpr.outvars]


def _results(equation: Any, arguments: list[_Node]) -> list[_Node]:
    name, params = equation.primitive.name, equation.params
    inner = params.get("jaxpr", params.get("call_jaxpr"))
    if isinstance(inner, core.ClosedJaxpr) and name not in ("while", "scan"):
        return _follow(inner.jaxpr, inner.consts, arguments)
    shapes = [variable.aval.shape for variable in equation.outvars]
    if len(shapes) != 1 or shapes[0] not in ((), (1,)):
        raise NoCodeError(f"{name} makes arrays of shapes {shapes}, not a scalar.")
    kind = _kind(equation.outvars[0].aval.dtype)
    if name == "integer_pow":
        return [_Node(kind, lambda a: _power(a, params["y"]), tuple(arguments))]
    if name == "convert_element_type":
        return [_Node(kind, lambda a: f"(({kind}){a})", tuple(arguments))]
    if name not in _FORMS:
        raise NoCodeError(f"{name} has no form in C.")
    return [_Node(kind, _FORMS[name], tuple(arguments))]


def _constant(value: Any) -> _Node:
    number = np.asarray(value)
    if number.size != 1:
        raise NoCodeError(f"A constant of shape {number.shape} is not a scalar.")
    plain, kind = number.reshape(()).item(), _kind(number.dtype)
    text = f"(({kind}){float(plain).hex()})" if kind == "REAL" else str(int(plain))
    return _Node(kind, lambda: text)


def _kind(dtype: Any) -> str:
    return "REAL" if np.issubdtype(dtype, np.floating) else "int"


ZERO = _constant(np.zeros(())).write()  # how a derivative that is not there is written


def _emit(outputs: list[_Node]) -> Code:
    """Write what the outputs need, each value once."""
    written: dict[_Node, str] = {}
    statements: list[str] = []
    needs: set[int] = set()

    def expression(node: _Node) -> str:
        if node in written:
            return written[node]
        text = node.write(*map(expression, node.arguments))
        if node.index is not None:
            needs.add(node.index)
        elif node.arguments:
            name = f"x{len(statements)}"
            statements.append(f"const {node.kind} {name} = {text};")
            text = name
        written[node] = text
        return text

    texts = tuple(map(expression, outputs))
    return Code(tuple(statements), texts, frozenset(needs))
