"""Whole: a step of the whole network as one function, for rules that differentiate it as such."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import Cotangents, forget
from tracegrad.learn.local import Rows
from tracegrad.model.network import Circuit, Moment, State
from tracegrad.model.stage import Ports


class Whole(NamedTuple):
    """All that a step changes, $h$: the states of every stage, and the taps of the hidden layers.

    Also a tangent or a cotangent of it; the batch is the first axis of every array.
    """

    state: State
    taps: tuple[Rows, ...]

    def begin(self) -> "Whole":
        """The same with the sums of the rate regulariser at zero."""
        return self._replace(taps=tuple(map(forget, self.taps)))

    def meet(self, cotangents: Cotangents) -> Float[Array, "batch *columns"]:
        """The product of tangents with what is asked of outputs, taps and states."""
        parts = [
            jnp.einsum("bn,bn...->b...", c, read[name])
            for read, asked in zip(self._named(), cotangents, strict=True)
            for name, c in asked.items()
        ]
        return sum(parts[1:], start=parts[0])

    def _named(self) -> list[Rows]:
        """What the cotangents of each stage may name."""
        taps = (*self.taps, {})
        return [
            {OUTPUT: stage.z, **stage.s, **tap} for stage, tap in zip(self.state, taps, strict=True)
        ]


def at_rest(circuit: Circuit, taps: Taps, batch: int) -> Whole:
    """No tangent: zero for every state and tap."""
    zero = jax.tree.map(jnp.zeros_like, circuit.rest(batch))
    return Whole(zero, tuple({name: stage.z for name in taps} for stage in zero[:-1]))


def advance(
    circuit: Circuit,
    taps: Taps,
    before: Whole,
    x: Float[Array, "batch m"],
    added: tuple[Ports, ...] | None = None,
) -> Whole:
    """One step: $h^t=f(h^{t-1},x^t;w)$. `added` are currents on top, by stage and port."""
    first = circuit.stages[0].feedforward(x)
    after = circuit.step(before.state, x, first, added).after
    filtered = tuple(
        {name: taps[name].decay * q + taps[name].gain * stage.z for name, q in old.items()}
        for old, stage in zip(before.taps, after, strict=False)
    )
    return Whole(after, filtered)


def point(moment: Moment, tangent: Whole) -> Whole:
    """Where a step is differentiated; taps are linear, so their values do not matter."""
    return Whole(moment.before, jax.tree.map(jnp.zeros_like, tangent.taps))


def single(tree: Any) -> Any:
    """A batch of one, inside a map over the batch."""
    return jax.tree.map(lambda a: a[None], tree)
