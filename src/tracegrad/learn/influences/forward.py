"""Forward: one random direction in parameter space, pushed forward along with the network."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tracegrad.learn.filter import Taps
from tracegrad.learn.influence import AbstractInfluence, Cotangents
from tracegrad.learn.influences.whole import Whole, advance, at_rest, point, single
from tracegrad.learn.local import Local
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Moment


class Heading(NamedTuple):
    """A direction $v$ for each sample, in the form of a circuit, and the tangent $G v$ along it."""

    direction: Circuit
    tangent: Whole


class Forward(AbstractInfluence):
    r"""The influence seen along one random direction $v$ of all parameters, drawn for a stream.

    $t^t=H^t t^{t-1}+F^t v=G^t v,\qquad \hat g=\sum_t(c^t\cdot t^t)\,v,\qquad
    v_i=\pm1$   (1)

    Unbiased because $E[vv^\top]=1$; the variance grows with the number of parameters. The
    direction stays as long as the stream, so that a new one comes with every sequence. Memory
    O(batch (p + n k)), time that of one more step of the network, O(batch p).
    """

    unbiased: ClassVar[bool] = True

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing is dropped."""
        return circuit

    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> Heading:
        """A direction for every sample, and no tangent."""
        leaves, structure = jax.tree.flatten(circuit)
        keys = jax.random.split(key, len(leaves))
        drawn = [
            jax.random.rademacher(k, (batch, *leaf.shape), leaf.dtype)
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        return Heading(jax.tree.unflatten(structure, drawn), at_rest(circuit, taps, batch))

    def begin(self, memory: Heading, feedback: Feedback) -> Heading:
        """See `AbstractInfluence`."""
        return memory._replace(tangent=memory.tangent.begin())

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: Heading,
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> Heading:
        """Equation (1), one forward derivative of the whole step."""

        def one(direction: Circuit, tangent: Whole, at: Whole, x: Any) -> Whole:
            tangents = (direction, single(tangent))
            step = jax.jvp(
                lambda c, h: advance(c, taps, h, x[None]), (circuit, single(at)), tangents
            )
            return jax.tree.map(lambda a: a[0], step[1])

        at = point(moment, memory.tangent)
        tangent = jax.vmap(one)(memory.direction, memory.tangent, at, moment.incoming[0])
        return memory._replace(tangent=tangent)

    def pull(self, circuit: Circuit, memory: Heading, cotangents: Cotangents) -> Circuit:
        """The direction times the loss's slope along it, summed over the batch."""
        slope = memory.tangent.meet(cotangents)
        return jax.tree.map(lambda v: jnp.einsum("b,b...->...", slope, v), memory.direction)
