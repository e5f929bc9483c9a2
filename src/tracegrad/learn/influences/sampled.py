"""Sampled influence: asked at K random steps of every T, and at the others not at all."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PRNGKeyArray

from tracegrad.learn.filter import RATE, Taps
from tracegrad.learn.influence import AbstractInfluence, Cotangents
from tracegrad.learn.local import Local
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.parameter import setting


class Drawn(NamedTuple):
    """What the influence remembers; the place in the T steps, how many of them were drawn, and
    whether the last one was."""

    influence: Any
    key: Key[Array, " batch"]
    place: Int[Array, " batch"]
    taken: Int[Array, " batch"]
    chosen: Bool[Array, " batch"]


class Sampled(AbstractInfluence):
    r"""$\hat g=\frac TK\sum_{t\in D}c^tG^t$ with $K$ of every $T$ steps drawn without replacement.

    Step $i$ of the $T$ is drawn with chance $(K-\text{drawn})/(T-i)$, which makes every choice of
    $K$ as likely and each step has $K/T$, so that the mean is that of the influence itself. All
    samples of a batch draw the same of their steps; padding is no step. The sum of the rate
    regulariser is not sampled. The influence is pushed at every step; the product with the
    cotangent is left out at steps that no sample drew.
    """

    influence: AbstractInfluence
    steps: int = setting(1)
    of: int = setting(1)

    def __check_init__(self):
        """Refuse a number of steps that cannot be drawn."""
        if not 1 <= self.steps <= self.of:
            raise ValueError(
                f"steps must be at least 1 and at most of, got steps={self.steps} and of={self.of}."
                " Give the length of a sequence as `of`."
            )

    def every_step(self) -> AbstractInfluence:
        """See `AbstractInfluence`."""
        return self.influence

    def shaped(self, circuit: Circuit, taps: Taps) -> Circuit:
        """As the influence itself."""
        return self.influence.shaped(circuit, taps)

    def prepare(self, circuit: Circuit) -> Circuit:
        """As the influence."""
        return self.influence.prepare(circuit)

    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> Drawn:
        """Nothing drawn."""
        inner, draws = jax.random.split(key)
        none = jnp.zeros(batch, jnp.int32)
        memory = self.influence.init(circuit, taps, batch, inner)
        return Drawn(memory, jnp.broadcast_to(draws, (batch,)), none, none, none > 0)

    def begin(self, memory: Drawn, feedback: Feedback) -> Drawn:
        """See `AbstractInfluence`."""
        return memory._replace(influence=self.influence.begin(memory.influence, feedback))

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: Drawn,
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> Drawn:
        """One more step, drawn or not."""
        later, now = jnp.moveaxis(jax.vmap(jax.random.split)(memory.key), 1, 0)
        draw = jax.vmap(lambda k, left: jax.random.randint(k, (), 0, left, jnp.int32))
        taken = jnp.where(memory.place == 0, 0, memory.taken)
        chosen = draw(now, self.of - memory.place) < self.steps - taken
        pushed = self.influence.push(circuit, taps, memory.influence, moment, locals_)
        place = (memory.place + 1) % self.of
        return Drawn(pushed, later, place, taken + chosen.astype(jnp.int32), chosen)

    def pull(self, circuit: Circuit, memory: Drawn, cotangents: Cotangents) -> Circuit:
        """The gradient of a step that was drawn, times T / K."""
        scale = jnp.where(memory.chosen, self.of / self.steps, 0.0)

        def scaled(name: str, c: Array) -> Array:
            return c if name == RATE else c * scale.reshape(-1, *(1,) * (c.ndim - 1))

        asked = tuple({name: scaled(name, c) for name, c in part.items()} for part in cotangents)
        pull = self.influence.pull
        if any(RATE in part for part in cotangents):
            return pull(circuit, memory.influence, asked)
        return jax.lax.cond(
            jnp.any(memory.chosen),
            lambda: pull(circuit, memory.influence, asked),
            lambda: jax.tree.map(jnp.zeros_like, circuit),
        )
