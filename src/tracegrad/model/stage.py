"""Stage: a layer made ready for one time step, with effective weights and discrete coefficients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.model.linear_map import AbstractMap, Weights, as_fan_in, as_matrix, currents
from tracegrad.model.neuron import AbstractNeuron, ports, seen_current

Rows = dict[str, Float[Array, "..."]]
Ports = dict[str, Float[Array, "..."]]  # one entry for each current of a neuron


class StageState(NamedTuple):
    """What a layer carries from step to step: named states (batch, n) and its last output."""

    s: Rows
    z: Float[Array, "batch n"]


class Stage(eqx.Module):
    """A layer as the mathematics sees it: matrices and one coefficient per neuron.

    Its arrays are the quantities that traces are kept for; parameters that lie behind them (a time
    constant, a shared value, a masked autapse) get their gradient by the chain rule.
    Shapes, of each port: `weight` (n, m), `recurrent` (n, n), `bias` (n,); each coefficient (n,).
    Where the weights from below are no plain matrix they are a map; `as_matrices` and `as_fan_in`
    give the same stage in forms that a rule can keep traces for.
    """

    weight: dict[str, Any]  # of each port a matrix or a map: `Weights`
    recurrent: Ports | None
    bias: Ports | None
    coefficients: dict[str, Float[Array, " n"]]
    neuron: AbstractNeuron  # without arrays: its equations and settings only

    @property
    def size(self) -> int:
        """Number of neurons."""
        first = self._first
        return first.size if isinstance(first, AbstractMap) else first.shape[0]

    @property
    def lines(self) -> int:
        """Number of lines that come from below."""
        first = self._first
        return first.lines if isinstance(first, AbstractMap) else first.shape[1]

    @property
    def dtype(self) -> jnp.dtype:
        """The type of its numbers."""
        return jax.tree.leaves(self._first)[0].dtype

    @property
    def _first(self) -> Weights:
        return next(iter(self.weight.values()))

    @property
    def matrix(self) -> Float[Array, "n m"]:
        """The weights of the first port; of a readout, which has one port, all of them."""
        return as_matrix(self._first)

    @property
    def mapped(self) -> bool:
        """Whether the weights from below are a map and no matrix."""
        return isinstance(self._first, AbstractMap)

    def as_matrices(self) -> "Stage":
        """The same stage with a matrix for each port: every rule can learn it."""
        return self._with(as_matrix)

    def as_fan_in(self) -> "Stage":
        """The same stage with a weight for each synapse: traces of n k in place of n m."""
        return self._with(as_fan_in)

    def _with(self, form: Callable[[Weights], Weights]) -> "Stage":
        if not self.mapped:
            return self
        weight = {port: form(w) for port, w in self.weight.items()}
        return Stage(weight, self.recurrent, self.bias, self.coefficients, self.neuron)

    def detach_reset(self) -> "Stage":
        """The same stage, without the derivative of the reset."""
        return eqx.tree_at(lambda stage: stage.neuron.reset, self, self.neuron.reset.detach())

    def rest(self, batch: int) -> StageState:
        """State at rest, and no output."""

        def one(c: Rows) -> Rows:
            return self.neuron.init(c)

        s = jax.vmap(one)(self.coefficients) if self.coefficients else one({})
        shape, dtype = (batch, self.size), self.dtype
        return StageState(
            {k: jnp.broadcast_to(v, shape).astype(dtype) for k, v in s.items()},
            jnp.zeros(shape, dtype),
        )

    def feedforward(self, x: Float[Array, "*time m"]) -> Ports:
        """Currents from the layer below, $W x + b$, each (*time, n)."""
        below = {port: currents(weight, x) for port, weight in self.weight.items()}
        if self.bias is None:
            return below
        axes = (None,) * (x.ndim - 1)
        return {port: current + self.bias[port][axes] for port, current in below.items()}

    def turned(self) -> Ports:
        """The recurrent weights with the presynaptic index first."""
        recurrent = {} if self.recurrent is None else self.recurrent
        return {port: weight.T for port, weight in recurrent.items()}

    def current(
        self, feedforward: Ports, z: Float[Array, "batch n"], turned: Ports | None = None
    ) -> Ports:
        """Whole currents: from below, and from the layer's own output of the step before.

        `turned` serves many steps of the same weights. Where they change at every step it would
        cost a copy each time, which the contraction over the second index does without.
        """
        total = {}
        for port in ports(self.neuron):
            parts = [feedforward[port]] if port in feedforward else []
            if self.recurrent is not None and port in self.recurrent:
                weight = self.recurrent[port]
                whole = jnp.einsum("bm,nm->bn", z, weight) if turned is None else z @ turned[port]
                parts.append(whole)
            total[port] = sum(parts[1:], start=parts[0]) if parts else jnp.zeros_like(z)
        return total

    def cell(self, c: Rows, before: StageState, current: Ports) -> StageState:
        """Every neuron's step and output, for coefficients `c` given apart to differentiate them.

        Each coefficient is shared by the batch, (n,), or one per sample, (batch, n); each current
        is (batch, n).
        """
        s = self.advance(c, before, current)
        return StageState(s, self.emit(c, s))

    def advance(self, c: Rows, before: StageState, current: Ports) -> Rows:
        """Every neuron's states after a step; see `cell`."""

        def one(c: Rows, before: StageState, current: Ports) -> Rows:
            return self.neuron.step(c, before.s, before.z, seen_current(self.neuron, current))

        return jax.vmap(jax.vmap(one), in_axes=(_per_sample(c), 0, 0))(c, before, current)

    def emit(self, c: Rows, s: Rows) -> Float[Array, "batch n"]:
        """Every neuron's output in states `s`; see `cell`."""
        return jax.vmap(jax.vmap(self.neuron.output), in_axes=(_per_sample(c), 0))(c, s)


def _per_sample(c: Rows) -> dict[str, int | None]:
    return {name: 0 if value.ndim == 2 else None for name, value in c.items()}
