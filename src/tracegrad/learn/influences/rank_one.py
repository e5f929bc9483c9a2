r"""Rank one: the influence as the product of one random state and one random parameter vector."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import AbstractInfluence, Cotangents, Trace
from tracegrad.learn.influences.own_readout import no_trace, pull_readout, push_readout
from tracegrad.learn.influences.whole import Whole, advance, at_rest, point, single
from tracegrad.learn.local import Local
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.stage import Stage

Stages = tuple[Stage, ...]


class Product(NamedTuple):
    r"""The factors $\tilde s$ and $\tilde\theta$ of every sample, and what it draws from next."""

    state: Whole
    parameters: Stages
    readout: Trace
    key: Key[Array, " batch"]


class RankOne(AbstractInfluence):
    r"""Unbiased rank-one estimate of the whole influence matrix, $G\approx\tilde s\,\tilde\theta$.

    $\tilde s\leftarrow\rho_0H\tilde s+\rho_1\nu,\quad
    \tilde\theta\leftarrow\tilde\theta/\rho_0+(\nu^\top F)/\rho_1$   (1)

    $\rho_0=\sqrt{\|\tilde\theta\|/\|H\tilde s\|},\quad
    \rho_1=\sqrt{\|\nu^\top F\|/\|\nu\|},\quad\nu_i=\pm1$   (2)

    A product of which one factor vanishes is nothing and is dropped, which guards 0/0. The
    readout's own parameters are exact. Memory O(batch (p + n k)), time O(batch p) a step.
    """

    unbiased: ClassVar[bool] = True

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing is dropped."""
        return circuit

    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> Product:
        """Both factors zero."""
        none = jax.tree.map(lambda a: jnp.zeros((batch, *a.shape), a.dtype), circuit.hidden)
        keys = jax.random.split(key, batch)
        return Product(at_rest(circuit, taps, batch), none, no_trace(circuit, batch), keys)

    def begin(self, memory: Product, feedback: Feedback) -> Product:
        """See `AbstractInfluence`."""
        return memory._replace(state=memory.state.begin())

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: Product,
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> Product:
        """Equations (1) and (2), each sample with its own draw."""

        def one(memory: Product, at: Whole, x: Array) -> Product:
            def step(hidden: Stages, before: Whole) -> Whole:
                whole = Circuit((*hidden, circuit.stages[-1]), circuit.all_layers)
                return jax.tree.map(lambda a: a[0], advance(whole, taps, single(before), x[None]))

            later, now = jax.random.split(memory.key)
            moved = jax.jvp(lambda h: step(circuit.hidden, h), (at,), (memory.state,))[1]
            noise = signs_like(moved, now)
            added = jax.vjp(lambda hidden: step(hidden, at), circuit.hidden)[1](noise)[0]
            old = balance(moved, memory.parameters)
            new = balance(noise, added)
            state, parameters = jax.tree.map(jnp.add, old, new)
            return memory._replace(state=state, parameters=parameters, key=later)

        at = point(moment, memory.state)
        pushed = jax.vmap(one)(memory, at, moment.incoming[0])
        return pushed._replace(readout=push_readout(circuit, memory.readout, moment, locals_))

    def pull(self, circuit: Circuit, memory: Product, cotangents: Cotangents) -> Circuit:
        r"""$(c\cdot\tilde s)\,\tilde\theta$, summed over the batch."""
        weight = memory.state.meet(cotangents)
        hidden = jax.tree.map(lambda v: jnp.einsum("b,b...->...", weight, v), memory.parameters)
        readout = pull_readout(circuit, memory.readout, cotangents[-1][OUTPUT])
        return Circuit((*hidden, readout), circuit.all_layers)


def norm(tree: Any) -> Float[Array, ""]:
    """Euclidean length of all numbers of a tree together."""
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def signs_like(tree: Any, key: PRNGKeyArray) -> Any:
    """Independent random signs in the shape of a tree."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.rademacher(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def balance(left: Any, right: Any) -> tuple[Any, Any]:
    """The two factors of a product, rescaled to the same length; both zero if either is zero.

    The least variance that a rescaling can give to a sum of such products with random signs.
    """
    a, b = norm(left), norm(right)
    exists = (a > 0) & (b > 0)
    ratio = jnp.sqrt(jnp.where(exists, b, 1.0) / jnp.where(exists, a, 1.0))

    def scale(tree: Any, by: Array) -> Any:
        return jax.tree.map(lambda leaf: jnp.where(exists, by * leaf, 0.0), tree)

    return scale(left, ratio), scale(right, 1.0 / ratio)
