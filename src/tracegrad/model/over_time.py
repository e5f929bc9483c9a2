"""over_time: a scan over time steps, several of them in a turn where a turn has a price."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax

Carried = TypeVar("Carried")
Seen = TypeVar("Seen")

# Steps in a turn of the loop, by backend. On a GPU a turn costs about 15 us beside its kernels, and
# XLA launches the kernels of a long turn as one graph: bench/gpu.py. A CPU only compiles longer.
IN_A_TURN = {"gpu": 10}


def over_time(
    body: Callable[[Carried, Any], tuple[Carried, Seen]],
    start: Carried,
    steps: Any,
    reverse: bool = False,
    inside: int = 1,
) -> tuple[Carried, Seen]:
    """`jax.lax.scan` along the leading axis of `steps`; `inside` are the time steps of one entry.

    The same operations in the same order on every backend; compiling takes longer by the entries
    in a turn.
    """
    entries = max(1, IN_A_TURN.get(jax.default_backend(), 1) // inside)
    return jax.lax.scan(body, start, steps, reverse=reverse, unroll=entries)
