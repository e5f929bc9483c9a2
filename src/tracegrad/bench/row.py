"""row: a compiled training step that is timed again and again."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tracegrad.run.peak_memory import peak_memory


class Row(NamedTuple):
    """`run` takes one training step, once, and returns its seconds.

    `memory` is the peak of the compiled program in bytes, as XLA plans it; `compile_s` what
    compiling took; `plan` how it is executed, and why.
    """

    run: Callable[[], float]
    memory: int
    compile_s: float
    plan: str


def compiled(function: Callable[..., tuple], state: tuple, fixed: tuple, plan: str) -> Row:
    """A step whose first results are its next arguments; they are donated.

    A program's results are ready together, so that it is waited for those that no next step takes.
    """
    donated = tuple(range(len(state)))
    began = time.perf_counter()
    ready = jax.jit(function, donate_argnums=donated).lower(*state, *fixed).compile()
    took = time.perf_counter() - began
    held = [jax.tree.map(jnp.copy, state)]

    def run() -> float:
        began = time.perf_counter()
        out = ready(*held[0], *fixed)
        jax.block_until_ready(out[len(state) :])
        seconds = time.perf_counter() - began
        held[0] = out[: len(state)]
        return seconds

    return Row(run, peak_memory(ready), took, plan)
