"""Local derivatives: what one step of one neuron depends on, taken from the neuron alone."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from tracegrad.model.neuron import seen_current
from tracegrad.model.stage import Ports, Stage, StageState

Rows = dict[str, Float[Array, "..."]]


class Local(NamedTuple):
    r"""Derivatives of one stage at one step; every array is (batch, n), rows are state names.

    A port is one of a neuron's currents; most neurons have one.

    | name | what |
    | --- | --- |
    | `own[row][col]` | $\partial s'_{row}/\partial s_{col}$, a neuron's memory of itself |
    | `echo[row]` | $\partial s'_{row}/\partial z$, what its own last output does (reset, ...) |
    | `drive[row][port]` | $\partial s'_{row}/\partial I_{port}$, what a synapse does |
    | `shift[c][row]` | $\partial s'_{row}/\partial c$ of a coefficient |
    | `emit[row]` | $\partial z'/\partial s'_{row}$, the surrogate derivative |
    | `direct[c]` | $\partial z'/\partial c$ at fixed $s'$ |
    """

    own: dict[str, Rows]
    echo: Rows
    drive: dict[str, Rows]
    shift: dict[str, Rows]
    emit: Rows
    direct: Rows

    @property
    def gain(self) -> Rows:
        r"""$\partial z'/\partial I_{port}$, how a current reaches the output within the step."""
        gain: Rows = {}
        for row, drive in self.drive.items():
            for port, d in drive.items():
                part = self.emit[row] * d
                gain[port] = gain[port] + part if port in gain else part
        return gain


def local(stage: Stage, before: StageState, current: Ports) -> Local:
    """Local derivatives of a stage at one step; O(batch n k^2) time and memory, k states."""

    def one(c: Rows, before: StageState, current: Ports) -> Local:
        def step(c: Rows, s: Rows, z: Array, current: Ports) -> Rows:
            return stage.neuron.step(c, s, z, seen_current(stage.neuron, current))

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
