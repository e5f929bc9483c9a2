"""roofline: what this machine can do at most, and the share of it that a row reaches."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.bench.cost import Cost

SIDE = 2048  # of the square matrices
SIZES = {"in cache": 2**20, "in memory": 2**26}  # numbers of a copied array: 4 MB and 256 MB
RUNS = 15


class Peaks(NamedTuple):
    """Float32 operations and bytes (read plus written) in a second, by XLA; the best of some runs.

    A copy of 4 MB stays in the processor's cache, one of 256 MB does not.
    """

    product: float
    copy_in_cache: float
    copy_in_memory: float


def peaks(side: int = SIDE) -> Peaks:
    """Measure this machine, with square matrices of so many rows."""
    square = jnp.ones((side, side), jnp.float32)
    product = 2 * side**3 / _best(jax.jit(jnp.matmul), square, square)
    copies = [_copied(size) for size in SIZES.values()]
    return Peaks(product, *copies)


def shares(cost: Cost, seconds: float, peaks: Peaks) -> dict[str, float]:
    """Share of each peak that a row reaches, and that of its bound: the longest of its needs.

    The bound takes the faster copy, so that no share is flattered by a slow one.
    """
    copy = max(peaks.copy_in_cache, peaks.copy_in_memory)
    products, traffic = cost.operations / peaks.product, cost.bytes / copy
    return {
        "operations": products / seconds,
        "bytes": traffic / seconds,
        "bound": max(products, traffic) / seconds,
    }


def _copied(size: int) -> float:
    """Bytes in a second; adding one reads and writes every number once, in place."""
    add = jax.jit(lambda a: a + 1.0, donate_argnums=0)
    values = add(jnp.zeros(size, jnp.float32))
    best = float("inf")
    for _ in range(RUNS):
        began = time.perf_counter()
        values = jax.block_until_ready(add(values))
        best = min(best, time.perf_counter() - began)
    return 8 * size / best


def _best(function: Callable[..., Array], *arguments: Array) -> float:
    function(*arguments).block_until_ready()
    best = float("inf")
    for _ in range(RUNS):
        began = time.perf_counter()
        function(*arguments).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return best
