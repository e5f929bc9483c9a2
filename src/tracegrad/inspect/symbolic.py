"""Symbolic: a function of scalars written in jax.numpy, read as sympy expressions from its jaxpr.

Only the public form of a jaxpr is used: its variables, equations, primitives' names and parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from tracegrad.errors import UsageError

Operation = Callable[..., Any]
CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint"}
# Shapes and types of one number: a scalar, or an array of one entry.
SAME = {
    "stop_gradient", "copy", "squeeze", "broadcast_in_dim", "reshape", "slice", "expand_dims",
    "transpose",
}  # fmt: skip
sigmoid = sp.Function("sigmoid")


class where(sp.Function):
    """`where(condition, chosen, otherwise)`, which sympy leaves as it is.

    A `Piecewise` would be solved for its conditions again and again, which takes seconds;
    `expression.rewrite(sympy.Piecewise)` makes one of it.
    """

    nargs = 3
    is_commutative = True  # sympy would ask the condition

    def _eval_rewrite_as_Piecewise(self, condition: Any, chosen: Any, otherwise: Any, **_: Any):
        return sp.Piecewise((chosen, condition), (otherwise, True))


HALVES = (sp.Integer(1), sp.Integer(0)), (sp.Integer(2), sp.Integer(1))

OPERATIONS: dict[str, Operation] = {
    "add": lambda x, y: _add(x, y),
    "add_any": lambda x, y: _add(x, y),
    "sub": lambda x, y: _add(x, -y),
    "mul": lambda x, y: x * y,
    "div": lambda x, y: _divide(x, y),
    "neg": lambda x: -x,
    "exp": sp.exp,
    "exp2": lambda x: 2**x,
    "expm1": lambda x: sp.exp(x) - 1,
    "log": sp.log,
    "log2": lambda x: sp.log(x, 2),
    "log1p": lambda x: sp.log(1 + x),
    "logistic": sigmoid,
    "tanh": sp.tanh,
    "sinh": sp.sinh,
    "cosh": sp.cosh,
    "sin": sp.sin,
    "cos": sp.cos,
    "tan": sp.tan,
    "atan": sp.atan,
    "atan2": sp.atan2,
    "erf": sp.erf,
    "sqrt": sp.sqrt,
    "rsqrt": lambda x: 1 / sp.sqrt(x),
    "square": lambda x: x**2,
    "one_minus_square": lambda x: 1 - x**2,
    "pow": lambda x, y: x**y,
    "integer_pow": lambda x, y: x**y,
    "abs": sp.Abs,
    "sign": sp.sign,
    "floor": sp.floor,
    "ceil": sp.ceiling,
    "max": sp.Max,
    "min": sp.Min,
    "clamp": lambda low, x, high: sp.Min(sp.Max(x, low), high),
    "gt": sp.Gt,
    "ge": sp.Ge,
    "lt": sp.Lt,
    "le": sp.Le,
    "eq": lambda x, y: _equal(x, y),
    "ne": sp.Ne,
    "and": sp.And,
    "or": sp.Or,
    "not": sp.Not,
}


class UnknownPrimitive(UsageError):
    """A neuron uses an operation that has no symbol here."""


def number(value: Any) -> sp.Basic:
    """A constant: an integer, a simple fraction, or the shortest decimal of its own precision."""
    array = np.asarray(value).reshape(-1)
    if array.size != 1:
        raise ValueError(
            f"explain reads functions of scalars, got a constant of shape {np.shape(value)}. "
            "Write the neuron for one neuron."
        )
    entry = array[0]
    if array.dtype == bool:
        return sp.true if entry else sp.false
    if np.isfinite(entry) and entry * 64 == int(entry * 64):
        return sp.Rational(int(entry * 64), 64)
    return sp.Float(str(entry))


def read(
    closed: ClosedJaxpr,
    arguments: Sequence[Any],
    named: dict[str, Operation],
    known: dict[int, Any] | None = None,
) -> list[Any]:
    """The outputs of a jaxpr as expressions of `arguments`.

    `named` gives the meaning of jitted functions by name instead of reading into them. `known[i]`
    is what later equations see of output `i` once it is computed, so that an expression can be
    told in terms of another output instead of repeating it.
    """
    jaxpr = closed.jaxpr
    seen: dict[Any, Any] = dict(zip(jaxpr.constvars, map(number, closed.consts), strict=True))
    seen |= dict(zip(jaxpr.invars, arguments, strict=True))
    given = set(seen)
    aliases: dict[Any, Any] = {}
    for index, alias in (known or {}).items():
        if not isinstance(jaxpr.outvars[index], Literal):
            aliases.setdefault(jaxpr.outvars[index], alias)
    whole = dict(seen)

    def value(atom: Any) -> Any:
        return number(atom.val) if isinstance(atom, Literal) else seen[atom]

    for equation in jaxpr.eqns:
        results = _apply(equation, [value(atom) for atom in equation.invars], named)
        for variable, result in zip(equation.outvars, results, strict=True):
            whole[variable] = result
            seen[variable] = aliases.get(variable, result)
    # An output that is an input or a constant has no equation of its own and is told as it is.
    return [value(v) if isinstance(v, Literal) or v in given else whole[v] for v in jaxpr.outvars]


def _apply(equation: Any, inputs: list[Any], named: dict[str, Operation]) -> list[Any]:
    name, parameters = equation.primitive.name, equation.params
    if name in CALLS:
        called = parameters.get("name")
        if called in named:
            return [named[called](*inputs)]
        inner = parameters.get("call_jaxpr", parameters.get("jaxpr"))
        closed = inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(_plain(inner), [])
        return read(closed, inputs, named)
    if name in SAME and all(v.aval.size == 1 for v in equation.outvars):
        return inputs[:1]
    if name == "convert_element_type":
        return [_convert(inputs[0], parameters["new_dtype"])]
    if name == "select_n" and len(inputs) == 3:
        return [_select(*inputs)]
    if name == "integer_pow":
        return [inputs[0] ** parameters["y"]]
    if name not in OPERATIONS:
        raise UnknownPrimitive(
            f"explain has no symbol for the operation {name!r}. Write the neuron with other "
            "functions of jax.numpy, or add the operation to tracegrad.inspect.symbolic.OPERATIONS."
        )
    return [OPERATIONS[name](*inputs)]


def _equal(x: Any, y: Any) -> Any:
    """Equality; with a maximum or minimum that one side is part of, it is an order."""
    for whole, part in ((y, x), (x, y)):
        for extreme, order in ((sp.Max, sp.Ge), (sp.Min, sp.Le)):
            if isinstance(whole, extreme) and part in whole.args:
                return order(part, extreme(*(other for other in whole.args if other != part)))
    return sp.Eq(x, y)


def _add(x: Any, y: Any) -> Any:
    r"""Sum, in which $a+a\tanh\frac x2=2a\,\sigma(x)$ and $a-a\tanh\frac x2=2a\,(1-\sigma(x))$."""
    for a, b in ((x, y), (y, x)):
        if a == 0 or not b.has(sp.tanh):
            continue
        sign, curve = sp.sympify(b / a).as_coeff_Mul()
        if abs(sign) == 1 and isinstance(curve, sp.tanh):
            inside: Any = curve.args[0]
            part, argument = inside.primitive()
            if part == sp.Rational(1, 2):
                logistic = sigmoid(argument)
                return 2 * a * (logistic if sign == 1 else 1 - logistic)
    return x + y


def _divide(x: Any, y: Any) -> Any:
    """Quotient; JAX's derivative of a maximum or minimum is a step, 1/2 where both are equal."""
    if isinstance(x, where) and isinstance(y, where) and (x.args[1:], y.args[1:]) == HALVES:
        a: Any = x.args[0]
        b: Any = y.args[0]
        if (a.func, a.lhs, a.rhs) == (b.func, b.rhs, b.lhs):
            return sp.Heaviside(a.gts - a.lts)
    return x / y


def _convert(x: Any, dtype: Any) -> Any:
    """A number of another type; a condition counts as 1 or 0."""
    if isinstance(x, sp.logic.boolalg.Boolean) and not np.issubdtype(dtype, np.bool_):
        return _select(x, sp.Integer(0), sp.Integer(1))
    if np.issubdtype(dtype, np.integer) and not x.is_integer:
        raise UnknownPrimitive(
            "explain has no symbol for a number cut to an integer. Use jnp.floor instead."
        )
    return x


def _plain(inner: Any) -> Jaxpr:
    """The body of a call that carries no constants of its own."""
    if not isinstance(inner, Jaxpr):
        raise UnknownPrimitive(f"explain cannot read a call whose body is {type(inner).__name__}.")
    return inner


def _select(which: Any, otherwise: Any, chosen: Any) -> Any:
    """`chosen` where `which` holds, else `otherwise`."""
    if which in (sp.true, sp.false):
        return chosen if which == sp.true else otherwise
    if chosen == otherwise:
        return chosen
    if {chosen, otherwise} <= {sp.true, sp.false}:
        return which if chosen == sp.true else sp.Not(which)
    return where(which, chosen, otherwise)
