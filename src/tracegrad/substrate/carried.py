"""What a rule carries, in the substrate's numbers: its traces and its signals."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from tracegrad.learn.filter import Taps, through
from tracegrad.learn.influence import AbstractInfluence, Cotangents, Trace, eligibility
from tracegrad.learn.local import Local
from tracegrad.learn.loss import Loss
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals
from tracegrad.model.network import Circuit, Moment, Network
from tracegrad.model.parameter import setting
from tracegrad.substrate.number import Number


class Carried(NamedTuple):
    """What the part inside remembers, and each sample's generator of numbers."""

    inside: Any
    draws: Any


def started(number: Number, batch: int, key: PRNGKeyArray) -> Any:
    """A generator for each sample."""
    return jax.vmap(number.start)(jax.random.split(key, batch)) if number.draws else ()


def rounded(number: Number, tree: Any, draws: Any) -> tuple[Any, Any]:
    """Every real number of a tree held; the batch is the first axis of every array."""

    def one(tree: Any, state: Any) -> tuple[Any, Any]:
        leaves, form = jax.tree.flatten(tree)
        held = []
        for leaf in leaves:
            if jnp.issubdtype(leaf.dtype, jnp.floating):
                leaf, state = number.hold(leaf, state)
            held.append(leaf)
        return jax.tree.unflatten(form, held), state

    return jax.vmap(one)(tree, draws) if number.draws else one(tree, draws)


class RoundedTraces(AbstractInfluence):
    """An influence whose traces are held in a format, rounded after every step.

    Derivatives of the present step and products with the signal are not rounded: they are not
    stored. A filter reads traces that are held already. Every sample of a batch draws for itself.
    """

    stepwise: ClassVar[str] = "the substrate rounds traces at every step"
    influence: AbstractInfluence = setting(None)
    number: Number = setting(Number())

    def every_step(self) -> AbstractInfluence:
        """See `AbstractInfluence`: what it reaches does not depend on numbers."""
        return self.influence.every_step()

    def prepare(self, circuit: Circuit) -> Circuit:
        """As the influence."""
        return self.influence.prepare(circuit)

    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> Carried:
        """As the influence, and generators."""
        inside, draws = jax.random.split(key)
        return Carried(
            self.influence.init(circuit, taps, batch, inside), started(self.number, batch, draws)
        )

    def begin(self, memory: Carried, feedback: Feedback) -> Carried:
        """As the influence."""
        return memory._replace(inside=self.influence.begin(memory.inside, feedback))

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: Carried,
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> Carried:
        """As the influence, then rounded."""
        old, draws = memory
        if not all(isinstance(part, Trace) for part in old):
            pushed = self.influence.push(circuit, taps, old, moment, locals_)
            return Carried(*rounded(self.number, pushed, draws))
        bare = tuple(part._replace(taps={}) for part in old)
        pushed = self.influence.push(circuit, taps, bare, moment, locals_)
        rows, draws = rounded(self.number, [part.rows for part in pushed], draws)
        now = [part._replace(rows=held) for part, held in zip(pushed, rows, strict=True)]
        filtered = [
            through(taps, before.taps, eligibility(part)) if before.taps else {}
            for part, before in zip(now, old, strict=True)
        ]
        kept, draws = rounded(self.number, filtered, draws)
        parts = zip(now, kept, strict=True)
        return Carried(tuple(part._replace(taps=held) for part, held in parts), draws)

    def pull(self, circuit: Circuit, memory: Carried, cotangents: Cotangents) -> Circuit:
        """As the influence."""
        return self.influence.pull(circuit, memory.inside, cotangents)


class RoundedSignal(AbstractSignal):
    """A signal whose values are held in a format; those below `threshold` are not sent at all.

    A threshold makes learning error-triggered: where the error is small nothing changes.
    """

    signal: AbstractSignal = setting(None)
    number: Number | None = setting(None)
    threshold: float = setting(0.0)

    @property
    def adapts(self) -> bool:  # type: ignore[override]  # as the signal inside, no class constant
        """As the signal."""
        return self.signal.adapts

    @property
    def remembers(self) -> bool:  # type: ignore[override]  # as above
        """Whether there is a memory: the signal's own, or a generator."""
        return self.signal.remembers or (self.number is not None and self.number.draws)

    def check(self, network: Network) -> None:
        """As the signal."""
        self.signal.check(network)

    def check_loss(self, loss: Loss) -> None:
        """As the signal."""
        self.signal.check_loss(loss)

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """As the signal."""
        return self.signal.init(network, key)

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """As the signal, and generators."""
        if not self.remembers:
            return ()
        inside, draws = jax.random.split(key)
        made = () if self.number is None else started(self.number, batch, draws)
        return Carried(self.signal.rest(circuit, batch, inside), made)

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """As the signal, then held."""
        old = memory if self.remembers else Carried((), ())
        sent, inside = self.signal(circuit, feedback, heard, old.inside)
        if self.threshold:
            sent = jax.tree.map(self._gated, sent)
        if self.number is None:
            return sent, Carried(inside, ()) if self.remembers else ()
        sent, draws = rounded(self.number, sent, old.draws)
        return sent, Carried(inside, draws) if self.remembers else ()

    def _gated(self, values: Array) -> Array:
        return jnp.where(jnp.abs(values) < self.threshold, 0.0, values)

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit, memory: Any
    ) -> tuple[Circuit, Feedback, Any]:
        """As the signal."""
        if not self.remembers:
            return self.signal.learn(circuit, feedback, gradient, ())
        gradient, changed, inside = self.signal.learn(circuit, feedback, gradient, memory.inside)
        return gradient, changed, memory._replace(inside=inside)
