"""Programs of JAX evaluated by NumPy, one operation after another, without compiling them.

A tiny network that is looked at once costs seconds to compile and a millisecond to run. Here it is
only traced, which gives the same operations in the same types. Rare operations, and random numbers,
are left to JAX.
"""

import jax
import numpy as np

UFUNCS = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "sqrt": np.sqrt,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "not": np.bitwise_not,
}


def _broadcast(x, shape, broadcast_dimensions, **_):
    lifted = [1] * len(shape)
    for size, axis in zip(x.shape, broadcast_dimensions, strict=True):
        lifted[axis] = size
    return np.broadcast_to(x.reshape(lifted), shape)


def _dot(a, b, dimension_numbers, **_):
    (sum_a, sum_b), (batch_a, batch_b) = dimension_numbers
    of_a, of_b = list(range(a.ndim)), list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip((*sum_a, *batch_a), (*sum_b, *batch_b), strict=True):
        of_b[j] = of_a[i]
    free_a = [axis for i, axis in enumerate(of_a) if i not in (*sum_a, *batch_a)]
    free_b = [axis for j, axis in enumerate(of_b) if j not in (*sum_b, *batch_b)]
    return np.einsum(a, of_a, b, of_b, [*(of_a[i] for i in batch_a), *free_a, *free_b])


def _slice(x, start_indices, limit_indices, strides, **_):
    steps = strides or [1] * x.ndim
    return x[tuple(map(slice, start_indices, limit_indices, steps))]


def _iota(*_, dtype, shape, dimension, **__):
    lifted = [1] * len(shape)
    lifted[dimension] = -1
    return np.broadcast_to(np.arange(shape[dimension], dtype=dtype).reshape(lifted), shape)


def _div(a, b):
    """Of whole numbers the quotient without its fraction, as XLA has it."""
    if np.issubdtype(a.dtype, np.floating):
        return np.divide(a, b)
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


PRIMITIVES = {name: lambda *xs, ufunc=ufunc, **_: ufunc(*xs) for name, ufunc in UFUNCS.items()} | {
    "broadcast_in_dim": _broadcast,
    "div": _div,
    "dot_general": _dot,
    "slice": _slice,
    "iota": _iota,
    "integer_pow": lambda x, y: x**y,
    "select_n": lambda which, *cases: np.where(which, cases[-1], cases[0]),
    "convert_element_type": lambda x, new_dtype, **_: np.asarray(x).astype(new_dtype),
    "reshape": lambda x, new_sizes, **_: x.reshape(new_sizes),
    "squeeze": lambda x, dimensions: np.squeeze(x, dimensions),
    "transpose": lambda x, permutation: x.transpose(permutation),
    "concatenate": lambda *xs, dimension: np.concatenate(xs, dimension),
    "split": lambda x, sizes, axis: np.split(x, np.cumsum(sizes[:-1]), axis),
    "reduce_sum": lambda x, axes, **_: np.sum(x, axes),
    "reduce_max": lambda x, axes, **_: np.max(x, axes),
    "reduce_or": lambda x, axes, **_: np.any(x, axes),
    "stop_gradient": lambda x, **_: x,
    "copy": lambda x: x,
}


class Program:
    """A function as the operations JAX traced it to; called with arrays of the same shapes."""

    def __init__(self, function, *args):
        self.closed, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        self.tree = jax.tree.structure(shape)

    def __call__(self, *args):
        return jax.tree.unflatten(self.tree, _closed(self.closed, jax.tree.leaves(args)))


def _closed(closed, arguments):
    return _run(closed.jaxpr, closed.consts, arguments)


def _run(jaxpr, consts, arguments):
    """Every equation in order."""
    given = map(_plain, (*consts, *arguments))
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), given, strict=True))

    def read(atom):
        return atom.val if isinstance(atom, jax.extend.core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        found = _evaluate(equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _evaluate(equation, inputs):
    name, params = equation.primitive.name, equation.params
    if name in PRIMITIVES and not any(map(_is_key, inputs)):
        found = PRIMITIVES[name](*map(np.asarray, inputs), **params)
        first = found[0] if isinstance(found, list | tuple) else found
        assert first.dtype == equation.outvars[0].aval.dtype, f"{name} changed the type"
    elif name in CONTROL:
        found = CONTROL[name](*inputs, **params)
    else:
        found = equation.primitive.bind(*inputs, **params)
    return [_plain(value) for value in found] if isinstance(found, list | tuple) else [found]


def _plain(value):
    """An array of NumPy; random keys stay as they are."""
    return value if _is_key(value) else np.asarray(value)


def _is_key(value):
    return isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def _scan(*inputs, jaxpr, length, reverse, **params):
    num_consts, num_carry = _groups(**params)
    first = num_consts + num_carry
    consts, carry, xs = inputs[:num_consts], inputs[num_consts:first], inputs[first:]
    kept = [None] * length
    for step in reversed(range(length)) if reverse else range(length):
        found = _closed(jaxpr, [*consts, *carry, *(x[step] for x in xs)])
        carry, kept[step] = found[:num_carry], found[num_carry:]
    return [*carry, *map(np.stack, zip(*kept, strict=True))]


def _groups(num_consts=None, num_carry=None, ft_in=None, **_):
    """How many inputs are constants and how many are carried: JAX 0.11 gives the groups."""
    if ft_in is None:
        return num_consts, num_carry
    consts, carry, _ = ft_in.unpack()
    return len(consts.vals), len(carry.vals)


CONTROL = {
    "jit": lambda *inputs, jaxpr, **_: _closed(jaxpr, inputs),
    "custom_jvp_call": lambda *inputs, call_jaxpr, **_: _closed(call_jaxpr, inputs),
    "cond": lambda index, *inputs, branches, **_: _closed(branches[int(index)], inputs),
    "scan": _scan,
}
