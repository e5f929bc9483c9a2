"""Local derivatives: what one step of one neuron depends on, taken from the neuron alone."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from tracegrad.model.stage import Stage, StageState

Rows = dict[str, Float[Array, "..."]]


class Local(NamedTuple):
    r"""Derivatives of one stage at one step; every array is (batch, n), rows are state names.

    | name | what |
    | --- | --- |
    | `own[row][col]` | $\partial s'_{row}/\partial s_{col}$, a neuron's memory of itself |
    | `echo[row]` | $\partial s'_{row}/\partial z$, what its own last output does (reset, ...) |
    | `drive[row]` | $\partial s'_{row}/\partial I$, what a synapse does |
    | `shift[c][row]` | $\partial s'_{row}/\partial c$ of a coefficient |
    | `emit[row]` | $\partial z'/\partial s'_{row}$, the surrogate derivative |
    | `direct[c]` | $\partial z'/\partial c$ at fixed $s'$ |
    """

    own: dict[str, Rows]
    echo: Rows
    drive: Rows
    shift: dict[str, Rows]
    emit: Rows
    direct: Rows

    @property
    def gain(self) -> Float[Array, "batch n"]:
        r"""$\partial z'/\partial I$, how a current reaches the output within the step."""
        return sum_rows(self.emit, self.drive)


def sum_rows(left: Rows, right: Rows) -> Float[Array, "batch n"]:
    """Inner product over the states of a neuron."""
    products = [left[row] * right[row] for row in left]
    return sum(products[1:], start=products[0])


def local(stage: Stage, before: StageState, current: Float[Array, "batch n"]) -> Local:
    """Local derivatives of a stage at one step; O(batch n k^2) time and memory, k states."""

    def one(c: Rows, before: StageState, current: Array) -> Local:
        def step(c: Rows, s: Rows, z: Array, current: Array) -> Rows:
            return stage.neuron.step(c, s, z, current)

        inputs = (c, before.s, before.z, current)
        jacobian = jax.jacfwd(step, argnums=(0, 1, 2, 3))(*inputs)
        shift, own, echo, drive = (
            {row: parts[index] for row, parts in jacobian.items()} for index in range(4)
        )
        direct, emit = _emission(stage, c, step(*inputs))
        turned = {name: {row: shift[row][name] for row in shift} for name in c}
        return Local(own, echo, drive, turned, emit, direct)

    return jax.vmap(jax.vmap(one), in_axes=(None, 0, 0))(stage.coefficients, before, current)


def _emission(stage: Stage, c: Rows, s: Rows) -> tuple[Rows, Rows]:
    return jax.jacfwd(stage.neuron.output, argnums=(0, 1))(c, s)


def emission(stage: Stage, s: Rows) -> tuple[Rows, Rows]:
    """`direct` and `emit` of a stage in state `s` (batch, n)."""

    def one(c: Rows, s: Rows) -> tuple[Rows, Rows]:
        return _emission(stage, c, s)

    return jax.vmap(jax.vmap(one), in_axes=(None, 0))(stage.coefficients, s)
