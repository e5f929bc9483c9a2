"""Stage: a layer made ready for one time step, with effective weights and discrete coefficients."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.model.neuron import AbstractNeuron

Rows = dict[str, Float[Array, "..."]]


class StageState(NamedTuple):
    """What a layer carries from step to step: named states (batch, n) and its last output."""

    s: Rows
    z: Float[Array, "batch n"]


class Stage(eqx.Module):
    """A layer as the mathematics sees it: matrices and one coefficient per neuron.

    Its arrays are the quantities that traces are kept for; parameters that lie behind them (a time
    constant, a shared value, a masked autapse) get their gradient by the chain rule.
    Shapes: `weight` (n, m), `recurrent` (n, n), `bias` (n,), each coefficient (n,).
    """

    weight: Float[Array, "n m"]
    recurrent: Float[Array, "n n"] | None
    bias: Float[Array, " n"] | None
    coefficients: dict[str, Float[Array, " n"]]
    neuron: AbstractNeuron  # without arrays: its equations and settings only

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.weight.shape[0]

    def detach_reset(self) -> "Stage":
        """The same stage, without the derivative of the reset."""
        return eqx.tree_at(lambda stage: stage.neuron.reset, self, self.neuron.reset.detach())

    def rest(self, batch: int) -> StageState:
        """State at rest, and no output."""

        def one(c: Rows) -> Rows:
            return self.neuron.init(c)

        s = jax.vmap(one)(self.coefficients) if self.coefficients else one({})
        shape, dtype = (batch, self.size), self.weight.dtype
        return StageState(
            {k: jnp.broadcast_to(v, shape).astype(dtype) for k, v in s.items()},
            jnp.zeros(shape, dtype),
        )

    def feedforward(self, x: Float[Array, "*time m"]) -> Float[Array, "*time n"]:
        """Current from the layer below: $W x + b$."""
        current = x @ self.weight.T
        return current if self.bias is None else current + self.bias[(None,) * (x.ndim - 1)]

    def current(
        self, feedforward: Float[Array, "batch n"], z: Float[Array, "batch n"]
    ) -> Float[Array, "batch n"]:
        """Whole current: from below, and from the layer's own output of the step before."""
        return feedforward if self.recurrent is None else feedforward + z @ self.recurrent.T

    def cell(
        self, c: dict[str, Array], before: StageState, current: Float[Array, "batch n"]
    ) -> StageState:
        """Every neuron's step and output, for coefficients `c` given apart to differentiate them.

        Each coefficient is shared by the batch, (n,), or one per sample, (batch, n).
        """

        def one(c: Rows, before: StageState, current: Array) -> StageState:
            s = self.neuron.step(c, before.s, before.z, current)
            return StageState(s, self.neuron.output(c, s))

        per_sample = {name: 0 if value.ndim == 2 else None for name, value in c.items()}
        return jax.vmap(jax.vmap(one), in_axes=(per_sample, 0, 0))(c, before, current)
