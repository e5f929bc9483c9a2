"""snap: sparse n-step approximation of the influence matrix, on neuron blocks."""

from tracegrad.learn.filter import AbstractFilter, Kappa
from tracegrad.learn.influences.masked import Leaving, Masked
from tracegrad.learn.influences.pattern import Reachable
from tracegrad.learn.rule import Rule


def snap(order: int = 1, filter: AbstractFilter | None = None) -> Rule:
    r"""SnAp-n: $G\leftarrow M_n\odot(HG+F)$, with $M_n$ the units reachable by n - 1 connections.

    Defined on neuron blocks, all states of a neuron together: per scalar state the cascade of a
    current-based neuron would have no gradient at all. `order=1` is `block_diagonal()`; as soon as
    every unit downstream is reached it is `rtrl()`. Dense layers saturate at 2 within a layer, so
    orders matter for weights with exact zeros, given as arrays. Between layers the credit of this
    step is spatial, as in `block`. Allocates the whole influence matrix: memory O(batch n k p),
    time O(batch n^2 k p) a step. Source: Menick et al. 2021.

    Keeps: paths among units that n - 1 connections reach, and paths of this step beyond.
    Drops: paths that go on in time beyond them.
    """
    pattern = Reachable(order)
    return Rule(
        "snap",
        "influence on units that order - 1 connections reach (order 1 unless told)",
        Masked(pattern),
        filter or Kappa(),
        Leaving(pattern),
    )
