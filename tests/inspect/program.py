"""Printed equations as a program: an explanation run step by step with NumPy.

Every value has one axis for each index that occurs in equations; an index that it lacks has length
1, so that NumPy's broadcasting is the meaning of a product, and a sum runs over its own axis.
"""

from functools import reduce

import numpy as np
import sympy as sp

from .evaluate import FUNCTIONS

AXES = ("batch", "i", "j", "k", "u", "m", "d", "p", "b")
RELATIONS = {
    sp.StrictGreaterThan: np.greater,
    sp.GreaterThan: np.greater_equal,
    sp.StrictLessThan: np.less,
    sp.LessThan: np.less_equal,
}
CALLS = FUNCTIONS | {
    "exp": np.exp,
    "Abs": np.abs,
    "tanh": np.tanh,
    "Max": np.maximum,
    "Min": np.minimum,
}


def on(axes, array):
    """An array whose axes are those named, one letter each, `batch` as n."""
    array = np.asarray(array, dtype=float)
    names = ["batch" if letter == "n" else letter for letter in axes]
    assert len(names) == array.ndim, (axes, array.shape)
    order = sorted(range(array.ndim), key=lambda at: AXES.index(names[at]))
    lengths = dict(zip(names, array.shape, strict=True))
    return array.transpose(order).reshape([lengths.get(axis, 1) for axis in AXES])


def off(axes, array):
    """The opposite of `on`: an array with the named axes only, summed over the batch."""
    array = array.sum(axis=0, keepdims=True)
    at = [AXES.index(letter) for letter in axes]
    lengths = [array.shape[a] for a in at]
    assert array.size == np.prod(lengths), (axes, array.shape)
    return array.transpose([*at, *(a for a in range(array.ndim) if a not in at)]).reshape(lengths)


def renamed(array, old, new):
    """A value with another index."""
    return np.swapaxes(array, AXES.index(old), AXES.index(new))


class Scope:
    """Values by name, of one stage or of one synapse in it; what is not here is looked up outside.

    `around` are the scopes of what stands `below`, `above` and `next` to read it. Traces of before
    the first step are zero.
    """

    def __init__(self, values, outer=None, functions=CALLS):
        self.values, self.outer, self.around, self.ticks = dict(values), outer, {}, 0
        self.functions = outer.functions if outer else functions

    def near(self, where):
        return self.around[where] if where in self.around else self.outer.near(where)

    def find(self, name):
        if name in self.values:
            return self.values[name]
        return None if self.outer is None else self.outer.find(name)

    def __getitem__(self, name):
        """The value of a symbol; one with the index k is that of i with another index."""
        found = self.find(name)
        base, bracket, when = name.partition("[")
        *head, last = base.split("_")
        when = bracket + when
        if found is not None:
            return found
        if last == "k" and head[-1] == "below":
            return renamed(self.near("below")[f"{head[0]}_z{when}"], "i", "k")
        if last == "k" and head[-1] == "above":
            return renamed(self.near("above")[f"{head[0]}_i{when}"], "i", "k")
        if base in ("lambda_I_k", "mu_I_k") and when == "[t]":
            return renamed(self.near("next")[f"{head[0]}_I[t]"], "i", "k")
        for inner in ("_".join(head), "_".join((*head, last.replace("k", "i")))):
            if last in ("k", "ku") and (found := self.find(f"{inner}{when}")) is not None:
                return renamed(found, "i", "k")
        if when in ("[t-1]", "[t+1]") and self.ticks == 0:
            return np.zeros([1] * len(AXES))
        raise KeyError(f"{name}: not among {sorted(self.values)}")

    def of(self, expression):
        """The value of an expression."""
        if expression.is_Symbol:
            return self[expression.name]
        if expression.is_Number:
            return np.full([1] * len(AXES), float(expression))
        if isinstance(expression, sp.Sum):
            total = self.of(expression.function)
            for index, *_ in expression.limits:
                if index.name != "t":
                    total = total.sum(axis=AXES.index(index.name), keepdims=True)
            return total
        inner = [self.of(argument) for argument in expression.args]
        if expression.is_Add:
            return sum(inner[1:], start=inner[0])
        if expression.is_Mul:
            return reduce(np.multiply, inner)
        if expression.is_Pow:
            return inner[0] ** inner[1]
        call = RELATIONS.get(expression.func) or self.functions[expression.func.__name__]
        return call(*inner)

    def run(self, equations, kept=lambda name: True, also=None):
        """Evaluate equations in order; `also(name)` is added to a right side."""
        for equation in equations:
            name = equation.left.name
            if kept(name):
                self.values[name] = self.of(sp.sympify(equation.right))
                if also is not None:
                    self.values[name] = self.values[name] + also(name)

    def tick(self):
        """What was of this step is of the step before."""
        for name in [name for name in self.values if name.endswith("[t]")]:
            self.values[name.replace("[t]", "[t-1]")] = self.values.pop(name)
        self.ticks += 1


def equations(told, *titles):
    """The equations of the sections with these titles, in the printed order."""
    return [e for section in told.sections if section.title in titles for e in section.equations]


def functions(told):
    """The functions that an explanation defines, such as psi."""
    found = dict(CALLS)
    for equation in equations(told, "Constants"):
        if equation.left.is_Function:
            argument, right = equation.left.args[0].name, equation.right

            def call(x, argument=argument, right=right):
                return Scope({argument: x}).of(right)

            found[equation.left.func.__name__] = call
    return found
