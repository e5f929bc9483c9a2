"""Numbers for printed equations: an explanation's expressions evaluated with NumPy arrays.

An array has as many axes as the result; what is summed over an index has that axis last.
"""

import numpy as np
import sympy as sp
from scipy.special import expit

from tracegrad.inspect.layout import LayerExplanation

FUNCTIONS = {
    "where": np.where,
    "sigmoid": expit,
    "Theta": lambda x: (x > 0).astype(float),
    "Heaviside": np.heaviside,  # else sympy makes a Piecewise of it and solves its conditions
}


class Numbers:
    """Values by the name of a symbol; equations are evaluated in order and add their left side."""

    def __init__(self, layer: LayerExplanation, values: dict[str, np.ndarray]):
        self.layer, self.values = layer, dict(values)
        self.functions, self.calls = dict(FUNCTIONS), {}
        for equation in self.equations("Constants"):
            if equation.left.is_Function:
                self.functions[equation.left.func.__name__] = sp.lambdify(
                    equation.left.args, equation.right, [FUNCTIONS, "numpy"]
                )

    def equations(self, title: str):
        return next((s.equations for s in self.layer.sections if s.title == title), ())

    def of(self, expression) -> np.ndarray:
        """The value of an expression; a sum over time is of the one step there is."""
        whole = sp.sympify(expression)
        sums = iter(range(99))
        for total in sorted(whole.atoms(sp.Sum), key=lambda s: s.count_ops()):
            if total not in whole.atoms(sp.Sum):
                continue
            inner, *_ = total.args
            body = self.of(inner)
            for limit in total.limits:
                body = body if limit[0].name == "t" else body.sum(axis=-1)
            name = f"sum{whole.count_ops()}_{next(sums)}"
            self.values[name] = body
            whole = whole.xreplace({total: sp.Symbol(name)})
        symbols = sorted(whole.free_symbols, key=str)
        if whole not in self.calls:
            self.calls[whole] = sp.lambdify(symbols, whole, [self.functions, "numpy"])
        call = self.calls[whole]
        return np.asarray(call(*(self.values[s.name] for s in symbols)), dtype=float)

    def run(self, *titles: str, exact: bool = False) -> None:
        """Evaluate the equations of sections in order."""
        for title in titles:
            for equation in self.equations(title):
                if not equation.left.is_Function:
                    right = equation.exact if exact else equation.right
                    self.values[equation.left.name] = self.of(right)
