"""Synapse: what a rule carries there, told apart: filters of the line, and numbers of its own."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.layout import LayerExplanation

Numbers = dict[sp.Symbol, float]
Rights = dict[sp.Symbol, Any]  # recursions by what they define
LINE = sp.Symbol(f"x0{n.NOW}")  # the spike that arrives
TOLD = ("Trace", "Eligibility", "Filter")
SMALL = 1e-9  # a gain below it, of the largest, is zero in float64
SINGULAR = 1e8  # condition number from which two decays count as one


class InexpressibleError(ValueError):
    """A rule is not of the form that was asked for; the message names the term and the reason."""


class Synapse(NamedTuple):
    r"""A rule at one synapse, $-\Delta w^t/\eta=$ `met`.

    The line's filters are $x_k^t=\lambda_kx_k^{t-1}+x_0^t$, with `decays` $\lambda_1>\lambda_2>
    \dots$; `own` has the recursion of every number that is no sum of them, in terms of filters,
    of itself a step before and of what the neuron knows.
    """

    decays: tuple[float, ...]
    own: Rights
    met: Any

    @property
    def carried(self) -> set[sp.Symbol]:
        """All symbols of the synapse, now and a step before."""
        now = {LINE, *self.own, *(filtered(k) for k in range(1, len(self.decays) + 1))}
        return now | {earlier(symbol) for symbol in now}


def filtered(k: int) -> sp.Symbol:
    """The k-th filter of the line, from 1."""
    return sp.Symbol(f"x{k}{n.NOW}")


def synapse(layer: LayerExplanation, numbers: Numbers) -> Synapse:
    """A layer's rule from its equations, with `numbers` for the constants.

    `InexpressibleError` if it carries no trace of a synapse, or one that is no sum of exponential
    filters and of numbers with a recursion of their own. O(k^3) for k traces.
    """
    rights = _rights(layer, numbers)
    before = {earlier(left) for left in rights}
    plain = {left: r for left, r in rights.items() if not r.free_symbols & before}
    memories = {left: _put(r, plain) for left, r in rights.items() if left not in plain}
    lines = _of_the_line(memories)
    decays, known = _filters(lines)
    own = {left: _put(r, known) for left, r in memories.items() if left not in lines}
    return Synapse(decays, own, _put(_put(_met(layer, numbers), plain), known))


def earlier(expression: Any) -> Any:
    """An expression one step before."""
    return _moved(expression, n.NOW, n.BEFORE)


def later(expression: Any) -> Any:
    """An expression one step on."""
    return _moved(expression, n.BEFORE, n.NOW)


def _moved(expression: Any, old: str, new: str) -> Any:
    whole = sp.sympify(expression)
    moved = {
        s: sp.Symbol(s.name.removesuffix(old) + new)
        for s in whole.free_symbols
        if s.name.endswith(old)
    }
    return whole.xreplace(moved)


def linear(expression: Any, carried: Iterable[sp.Symbol]) -> dict[sp.Symbol, Any]:
    """The factor of each symbol of `carried` in an expression that is linear in them."""
    carried, factors = set(carried), {}
    for term in sp.Add.make_args(sp.expand(expression)):
        mine = [factor for factor in sp.Mul.make_args(term) if factor in carried]
        rest = term / sp.Mul(*mine)
        if term != 0 and (len(mine) != 1 or rest.free_symbols & carried):
            raise InexpressibleError(f"{term} is not linear in the numbers of the synapse")
        if term != 0:
            factors[mine[0]] = factors.get(mine[0], 0) + rest
    return factors


def _rights(layer: LayerExplanation, numbers: Numbers) -> Rights:
    titles = [section.title for section in layer.sections]
    if "Trace" not in titles:
        raise InexpressibleError("the rule carries no trace of each synapse")
    told = [e for title in TOLD if title in titles for e in layer.section(title).equations]
    return {e.left: _valued(e.right, numbers) for e in told}


def _met(layer: LayerExplanation, numbers: Numbers) -> Any:
    """What is summed over time in the change of a weight."""
    titles = [section.title for section in layer.sections]
    change = layer.section("Change").equations[0].right if "Change" in titles else sp.Integer(0)
    sums = [term for term in change.atoms(sp.Sum) if term.limits[0][0] == n.T]
    if len(sums) != 1:
        raise InexpressibleError("the change of a weight is no sum over steps")
    return _valued(sums[0].function, numbers)


def _valued(expression: Any, numbers: Numbers) -> Any:
    values = {symbol: sp.Float(value) for symbol, value in numbers.items()}
    return sp.sympify(expression).xreplace(values | {n.X_J: LINE})


def _put(expression: Any, known: Rights) -> Any:
    """An expression with what is known put in, now and a step before."""
    both = known | {earlier(left): earlier(right) for left, right in known.items()}
    for _ in both:
        expression = expression.xreplace(both)
    return expression


def _of_the_line(memories: Rights) -> Rights:
    """The largest set of memories that depend on the line and on each other by constants."""
    lines = dict(memories)
    while wrong := [left for left, right in lines.items() if not _constant(right, lines)]:
        lines = {left: right for left, right in lines.items() if left not in wrong}
    return lines


def _constant(right: Any, lines: Rights) -> bool:
    known = {LINE, *lines, *map(earlier, lines)}
    try:
        factors = linear(right, known)
    except InexpressibleError:
        return False
    return all(factor.is_number for factor in factors.values())


def _filters(lines: Rights) -> tuple[tuple[float, ...], Rights]:
    """Decays of the filters, and each memory as their sum: eigenvalues and eigenvectors."""
    if not lines:
        return (), {}
    matrix, drive = _system(lines)
    values, vectors = np.linalg.eig(matrix)
    if np.any(np.abs(np.imag(values)) > SMALL):
        raise InexpressibleError("a trace of the line oscillates, and a decay is a real number")
    if np.linalg.cond(vectors) > SINGULAR:
        raise InexpressibleError(
            "two filters of the line have one time constant, and their chain is no sum of both"
        )
    gains = np.real(vectors * np.linalg.solve(vectors, drive))
    gains[np.abs(gains) < SMALL * np.max(np.abs(gains))] = 0.0
    values = np.real(values)
    order = [k for k in np.argsort(-values) if np.any(gains[:, k])]
    live = [k for k in order if abs(values[k]) > SMALL]
    names = {k: filtered(i) for i, k in enumerate(live, start=1)}
    told = {
        left: sum(sp.Float(gains[i, k]) * names.get(k, LINE) for k in order if gains[i, k])
        for i, left in enumerate(lines)
    }
    return tuple(float(values[k]) for k in live), told


def _system(lines: Rights) -> tuple[np.ndarray, np.ndarray]:
    """$m^t=Am^{t-1}+bx_0^t$ of the memories, with those of the same step put in."""
    size, index = len(lines), {left: i for i, left in enumerate(lines)}
    past = {earlier(left): i for left, i in index.items()}
    matrix, drive = np.zeros((size, size)), np.zeros(size)
    for left, right in lines.items():
        i = index[left]
        for symbol, factor in linear(right, {LINE, *index, *past}).items():
            value = float(factor)
            if symbol == LINE:
                drive[i] += value
            elif symbol in past:
                matrix[i, past[symbol]] += value
            else:
                matrix[i] += value * matrix[index[symbol]]
                drive[i] += value * drive[index[symbol]]
    return matrix, drive
