"""Engine registers: a rule's numbers put in those of an engine that computes sums of products."""

from collections.abc import Iterable
from math import ceil, log2
from typing import Any, NamedTuple

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.synapse import (
    LINE,
    InexpressibleError,
    Synapse,
    earlier,
    filtered,
    later,
    linear,
)
from tracegrad.substrate.presets import Engine, Products
from tracegrad.substrate.sum_of_products import EXPONENT, MANTISSA, Factor, Product

SIZES = {"x0": 1.0, "x1": 16.0, "x2": 16.0}  # of a register after one spike
SLOPES = (64.0, 32.0, 16.0, 8.0)  # registers of a surrogate derivative of 1, the finest first
DRIVEN = 8.0  # the tag after one spike that counts in full
LEARNED = 0.125  # least significant bits of a weight for one of a learning signal
WORST = 0.25  # the relative error of a scale from which it stands for nothing
TAG, ONE = "t", sp.Integer(1)
SIGNALS, WEIGHTS, PSI = ("L_", "delta_i"), ("V_", "W_"), "psi"


class Term(NamedTuple):
    """A factor, what the neuron knows (1: nothing), and a number of the synapse by its register."""

    factor: float
    post: Any
    register: str


class Epoch(NamedTuple):
    """What an epoch does: terms of the tag and of minus the weight over the rate.

    `tag` is what the tag register holds when it begins.
    """

    tag: Any
    moves: list[Term]
    met: list[Term]


def scheduled(found: Synapse) -> Epoch:
    """When each number is read, given that all changes of an epoch are of the old values.

    A number of the synapse that reads the traces of the step before runs a step ahead in the tag.
    One that reads those of this step is met one step late, with what the neuron knew then.
    """
    if not found.own:
        return Epoch(None, [], _terms(found.met, found, None))
    ((tag, right),) = found.own.items()
    lines = {LINE, *(filtered(k) for k in range(1, len(found.decays) + 1))}
    read, met = set(linear(right, found.carried)), set(linear(found.met, found.carried))
    if not read & lines:
        if met & {earlier(symbol) for symbol in found.carried}:
            raise InexpressibleError(f"{tag} is met by what was before it")
        return Epoch(tag, _terms(later(right), found, tag), _terms(found.met, found, tag))
    if read & set(map(earlier, lines)) or met != {tag}:
        raise InexpressibleError(
            f"{tag} needs traces of two steps, and the engine has those of the present one"
        )
    late = earlier(found.met)
    return Epoch(earlier(tag), _terms(right, found, tag), _terms(late, found, tag))


def _terms(expression: Any, found: Synapse, tag: Any) -> list[Term]:
    told = []
    for symbol, factor in linear(expression, found.carried).items():
        same = tag is not None and symbol in (tag, earlier(tag))
        register = TAG if same else symbol.name.partition("[")[0]
        for part in sp.Add.make_args(sp.expand(factor)):
            number, post = part.as_coeff_Mul()
            if any(str(s).endswith(n.AFTER) for s in post.free_symbols):
                raise InexpressibleError(f"{post} is not known yet when its trace is")
            told.append(Term(float(number), post, register))
    return told


def crowded(found: Synapse, engine: Products) -> list[str]:
    """What is too much for the engine's traces and tags."""
    why = []
    if len(found.decays) > engine.pre_traces:
        decays = ", ".join(f"{decay:.4g}" for decay in found.decays)
        why.append(f"Filters of the line with decays {decays}, there {engine.pre_traces}.")
    if len(found.own) > engine.tags:
        names = ", ".join(str(symbol) for symbol in found.own)
        why.append(
            f"{names}: {len(found.own)} numbers of each synapse that are no filter of its line, "
            f"there {engine.tags}."
        )
    return why


def unseen(found: Synapse, engine: Engine) -> list[str]:
    """What a change reads and the engine does not see, each with the reason."""
    reads: dict[sp.Symbol, None] = {}
    for expression in (*found.own.values(), found.met):
        for factor in linear(expression, found.carried).values():
            reads |= dict.fromkeys(sorted(factor.free_symbols, key=str))
    assert engine.products is not None  # asked of such engines alone
    sees = engine.sees if engine.sees is not None and engine.products.supplied else ()
    return [why for symbol in reads if (why := _why_unseen(symbol.name, sees))]


def _why_unseen(name: str, sees: Iterable[str]) -> str:
    sees = tuple(sees)
    if name.startswith(WEIGHTS):
        return f"{name} is the weight of another synapse."
    if name.startswith(SIGNALS):
        told, kind = "a learning signal, a third factor of every neuron", "signal"
    elif name.startswith(PSI):
        told, kind = "a surrogate derivative, which needs the membrane potential", "neuron_state"
    elif name.endswith((n.NOW, n.BEFORE)) and "_" not in name:
        told, kind = "a state of the neuron", "neuron_state"
    else:
        return f"{name} is nothing that a synapse or its two neurons have."
    return "" if kind in sees else f"{name} is {told}, and the engine does not see it."


class Posts(NamedTuple):
    """Registers of what the neuron knows: by value, the register of each sign."""

    registers: dict[Any, tuple[tuple[str, int], ...]]

    def of(self, post: Any) -> tuple[tuple[str, int], ...]:
        """Registers of a value with their signs; a single empty one if there is no value."""
        return (("", 1),) if post == ONE else self.registers[post]


def posts(terms: Iterable[Term], most: int) -> Posts:
    """A trace y for each value that is never negative, two for one that may be; at most `most`."""
    values = list(dict.fromkeys(term.post for term in terms if term.post != ONE))
    told, used = {}, 0
    for value in values:
        signs = (1,) if _never_negative(value) else (-1, 1)
        told[value] = tuple((f"y{used + i}", sign) for i, sign in enumerate(signs, start=1))
        used += len(signs)
    if used > most:
        names = ", ".join(str(value) for value in values)
        raise InexpressibleError(
            f"{names}: {used} values of the neuron, two for each that may be negative, there {most}"
        )
    return Posts(told)


def _never_negative(value: Any) -> bool:
    return all(s.name.startswith(PSI) for s in value.free_symbols) and not value.is_Add


def unit(values: list[float], sizes: list[float], full: float) -> float:
    """What makes of `values` the scales of products of registers of these `sizes`.

    The largest product is `full`, or as many powers of two more as the least scale of several needs
    for four steps of 2^-7.
    """
    top = max(abs(value) * size for value, size in zip(values, sizes, strict=True))
    least = min(map(abs, values)) * full / top
    fine = 4 * 2.0 ** EXPONENT[0] if len({abs(value) for value in values}) > 1 else 0.0
    more = max(0, ceil(log2(fine / least))) if fine else 0
    return full / top * 2.0**more


class Scaled(NamedTuple):
    """A product, and the scale it should have."""

    product: Product
    wished: float

    @property
    def error(self) -> float:
        """The relative error of the scale."""
        return abs(self.product.scale - self.wished) / abs(self.wished)


def scaled(wished: float, names: Iterable[str]) -> Scaled:
    """The product of registers whose scale is nearest to a wished one, with a small mantissa."""
    words = [name for name in names if name]
    scales = [
        (mantissa, exponent)
        for exponent in range(EXPONENT[0], EXPONENT[1] + 1)
        for mantissa in range(MANTISSA[0], MANTISSA[1] + 1)
        if mantissa
    ]
    m, e = min(scales, key=lambda p: (abs(p[0] * 2.0 ** p[1] - wished), abs(p[0])))
    dependency = "x0" if "x0" in words else "u0"
    factors = tuple(Factor(word) for word in words if word != "x0")
    return Scaled(Product(m, e, dependency, factors), wished)


def worst(told: Iterable[Scaled]) -> float:
    """The largest relative error."""
    return max((each.error for each in told), default=0.0)


def refuse_coarse(told: Iterable[Scaled]) -> None:
    """`InexpressibleError` where a scale stands for nothing."""
    for each in told:
        if each.error > WORST:
            raise InexpressibleError(
                f"the scale {each.wished:.2g} of {each.product.names} is beyond m 2^e with m from "
                f"{MANTISSA[0]} to {MANTISSA[1]} and e from {EXPONENT[0]} to {EXPONENT[1]}"
            )
