r"""Sums of products: all that a Loihi-style engine computes at a synapse, as value and as text.

$\Delta z=\sum_ps_p\prod_if_{pi},\quad z\in\{w,d,t\}$   (1)

    dw = 2^-7*u0*x1*y2 - 2^-7*u0*x1*y3

weight, delay and tag change by products of registers: spikes x0 and y0, traces x1, x2, y1, y2 and
y3, the three variables, each plus a constant, or the sign of a variable. A product starts at a
dependency: a spike, or u_k, every 2^k epochs; there is no division. A scale is m 2^e with m from
-8 to 7 and e from -7 to 8. Source: lava-nc 0.10.0, magma/core/learning/constants.py and
product_series.py, and brian2_loihi, commit 9ac5842; the limit on bits, which is the stricter one:
nengo-loihi, commit e564f66.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

TRACE, TAG, WEIGHT, DELAY = (0, 127), (-256, 255), (-256, 254), (0, 62)
RANGES = {"x0": (0, 1), "y0": (0, 1), "w": WEIGHT, "d": DELAY, "t": TAG}
RANGES |= dict.fromkeys(("x1", "x2", "y1", "y2", "y3"), TRACE)
VARIABLES = ("w", "d", "t")
MANTISSA, EXPONENT = (-8, 7), (-7, 8)
MANTISSA_BITS, SUM_BITS = 3, 15  # without the sign
Registers = Mapping[str, Any]  # arrays that broadcast: x (m,), y (n, 1), w, d and t (n, m)
Rounding = Callable[[Any], Any]


class Factor(NamedTuple):
    """A register plus a constant, or the sign of a variable, `sgn(w)`."""

    name: str
    plus: int = 0

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest value."""
        if self.name.startswith("sgn("):
            return -1, 1
        low, high = RANGES[self.name]
        return low + self.plus, high + self.plus

    @property
    def bits(self) -> int:
        """Bits of the largest magnitude that matter: none of a spike or a sign."""
        low, high = self.range
        return (max(-low - 1, high)).bit_length() if max(-low, high) > 1 else 0

    def value(self, registers: Registers) -> Any:
        """The value in these registers."""
        if self.name.startswith("sgn("):
            return np.sign(registers[self.name[4:-1]])
        return registers[self.name] + self.plus

    def __str__(self) -> str:
        if not self.plus:
            return self.name
        return f"({self.name} {'-' if self.plus < 0 else '+'} {abs(self.plus)})"


class Product(NamedTuple):
    """One term of equation (1): `mantissa` 2^`exponent` times factors, when `dependency` is on."""

    mantissa: int
    exponent: int
    dependency: str
    factors: tuple[Factor, ...] = ()

    @property
    def scale(self) -> float:
        """Mantissa and exponent as one number."""
        return self.mantissa * 2.0**self.exponent

    @property
    def bits(self) -> int:
        """Bits before the point that the product may need, whatever its mantissa."""
        return sum(factor.bits for factor in self.factors) + MANTISSA_BITS + self.exponent

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value, or 0 where the dependency is off."""
        ends = [0.0, 0.0, self.scale]
        for factor in self.factors:
            ends = [end * bound for end in (min(ends), max(ends)) for bound in factor.range]
        return min(0.0, *ends), max(0.0, *ends)

    def value(self, registers: Registers, epoch: int) -> Any:
        """The value at an epoch; a spike that is the dependency counts as a factor 0 or 1."""
        if self.dependency[0] == "u":
            on: Any = float(epoch % 2 ** int(self.dependency[1:]) == 0)
        else:
            on = registers[self.dependency]
        return self.scale * on * prod(factor.value(registers) for factor in self.factors)

    @property
    def names(self) -> str:
        """Dependency and factors as text."""
        return "*".join([self.dependency, *map(str, self.factors)])

    def __str__(self) -> str:
        words = [str(abs(self.mantissa))] if abs(self.mantissa) != 1 else []
        words += [f"2^{self.exponent}"] if self.exponent else []
        return "*".join([*words, self.names])


class SumOfProducts(NamedTuple):
    """Equation (1) for one variable."""

    variable: str
    products: tuple[Product, ...]

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest sum."""
        ends = [product.range for product in self.products]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def value(self, registers: Registers, epoch: int) -> Any:
        """The change at an epoch, exact in float64; O(n m) for each product."""
        return sum(product.value(registers, epoch) for product in self.products)

    def __str__(self) -> str:
        text = ""
        for product in self.products:
            minus = product.mantissa < 0
            sign = (" - " if minus else " + ") if text else "-" * minus
            text += f"{sign}{product}"
        return f"d{self.variable} = {text}"


def check(rules: Iterable[SumOfProducts]) -> None:
    """Refuse what the engine cannot hold; `ValueError` names the product and the limit."""
    rules = tuple(rules)
    epochs = {p.dependency for r in rules for p in r.products if p.dependency[0] == "u"}
    if len(epochs) > 1:
        raise ValueError(
            f"All products must share one u_k, got {', '.join(sorted(epochs))}. Use one of them."
        )
    for rule in rules:
        for product in rule.products:
            _check_product(product)
        low, high = rule.range
        if max(-low, high) > 2**SUM_BITS - 1:
            raise ValueError(
                f"d{rule.variable} must stay within {SUM_BITS} bits and a sign, may reach "
                f"{low:,.0f} to {high:,.0f}. Lower the exponents of its scales."
            )


def _check_product(product: Product) -> None:
    inside = (MANTISSA[0] <= product.mantissa <= MANTISSA[1] and product.mantissa != 0) and (
        EXPONENT[0] <= product.exponent <= EXPONENT[1]
    )
    if not inside:
        raise ValueError(
            f"The scale of {product} must be m 2^e with m from {MANTISSA[0]} to {MANTISSA[1]}, not "
            f"0, and e from {EXPONENT[0]} to {EXPONENT[1]}, got {product.mantissa} 2^"
            f"{product.exponent}. Choose other units for its registers."
        )
    if product.bits > SUM_BITS:
        raise ValueError(
            f"{product} must fit {SUM_BITS} bits and a sign, may need {product.bits}. Lower its "
            "exponent, or use fewer factors."
        )


TERM = re.compile(r"([+-]?)((?:\^-|\([^()]*\)|[^+\-()])+)")
SCALE = re.compile(r"(\d+)|2\^(-?\d+)")
FACTOR = re.compile(r"\(([a-z]\d?)([+-])(\d+)\)|(sgn\([wdt]\)|[a-z]\d?)")
DEPENDENCY = re.compile(r"x0|y0|u\d+")


def parse(text: str) -> SumOfProducts:
    """The sum of products that a text such as `dt = 2^-7*u0*x1*y1 - 3*2^-6*u0*t` stands for.

    `ValueError` names the part that is none.
    """
    left, _, right = "".join(text.split()).partition("=")
    if left not in {f"d{name}" for name in VARIABLES}:
        raise ValueError(f"A rule must start with dw =, dd = or dt =, got {text!r}. Add it.")
    terms = TERM.findall(right)
    if "".join(sign + term for sign, term in terms) != right or not terms:
        raise ValueError(f"A rule must be a sum of products, got {text!r}. Mind its brackets.")
    return SumOfProducts(left[1:], tuple(_product(term, sign) for sign, term in terms))


def _product(text: str, sign: str) -> Product:
    mantissa, exponent, dependency = 1, 0, ""
    factors: list[Factor] = []
    for word in text.split("*"):
        if found := SCALE.fullmatch(word):
            mantissa *= int(found[1] or 1)
            exponent += int(found[2] or 0)
        elif DEPENDENCY.fullmatch(word) and not dependency:
            dependency = word
        else:
            factors.append(_factor(word, text))
    if not dependency:
        raise ValueError(f"{text} must have a dependency, x0, y0 or u_k, and has none. Add u0.")
    return Product(-mantissa if sign == "-" else mantissa, exponent, dependency, tuple(factors))


def _factor(word: str, text: str) -> Factor:
    found = FACTOR.fullmatch(word)
    name = None if found is None else found[1] or found[4]
    if found is None or name is None or (name not in RANGES and not name.startswith("sgn(")):
        raise ValueError(
            f"A factor must be one of {', '.join(RANGES)}, with a constant in brackets or sgn() of "
            f"w, d or t, got {word!r} in {text}. There is nothing else in the engine."
        )
    return Factor(name, int(f"{found[2]}{found[3]}") if found[1] else 0)


class Filter(NamedTuple):
    r"""A presynaptic trace, $x\leftarrow\lambda x+\mathrm{impulse}\,x_0$."""

    decay: float
    impulse: int = 16

    def push(self, trace: Any, spikes: Any, rounding: Rounding) -> Any:
        """The trace after an epoch, held in 7 bits."""
        return np.clip(rounding(self.decay * trace) + self.impulse * spikes, *TRACE)


def by_chance(draw: np.random.Generator, shared: bool = False) -> Rounding:
    """Rounding up with the chance of the rest; `shared`: one draw a call for all elements."""

    def rounding(x: Any) -> Any:
        return np.floor(x + draw.random(() if shared else np.shape(x)))

    return rounding


def learn(
    rules: Iterable[SumOfProducts], registers: Registers, epoch: int, rounding: Rounding
) -> dict[str, Any]:
    """Registers after an epoch: every change is of the old values, rounded, and saturates.

    `ValueError` if a sum leaves its 15 bits and a sign, where the engine would lose bits.
    """
    changed = dict(registers)
    for rule in rules:
        change = rule.value(registers, epoch)
        if np.max(np.abs(change)) > 2**SUM_BITS - 1:
            raise ValueError(
                f"d{rule.variable} must stay within {SUM_BITS} bits and a sign, reached "
                f"{np.max(np.abs(change)):,.0f} at epoch {epoch}. Lower the exponents."
            )
        old = registers[rule.variable]
        changed[rule.variable] = np.clip(old + rounding(change), *RANGES[rule.variable])
    return changed


def run(
    rules: Iterable[SumOfProducts],
    filters: Iterable[Filter],
    spikes: Any,
    supplied: Mapping[str, Any],
    start: Registers,
    rounding: Rounding,
) -> dict[str, Any]:
    """Registers after `spikes` (steps, m), an epoch a step, from those at the start (n, m).

    In an epoch traces x take the spikes, traces y what is `supplied`, (steps, n), and then the
    variables change. O(steps n m).
    """
    rules, filters = tuple(rules), tuple(filters)
    check(rules)
    registers = dict(start)
    registers |= {f"x{k}": np.zeros(np.shape(spikes)[1]) for k in range(1, len(filters) + 1)}
    for epoch, now in enumerate(spikes):
        traces = {
            f"x{k}": each.push(registers[f"x{k}"], now, rounding)
            for k, each in enumerate(filters, start=1)
        }
        heard = {name: values[epoch][:, None] for name, values in supplied.items()}
        registers = learn(rules, registers | traces | heard | {"x0": now}, epoch, rounding)
    return registers
