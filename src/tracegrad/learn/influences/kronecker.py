"""Kronecker: the influence of a layer's weights as one product of two random factors."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.influence import AbstractInfluence, Cotangents, Trace
from tracegrad.learn.influences.own_readout import no_trace, pull_readout, push_readout
from tracegrad.learn.influences.rank_one import balance
from tracegrad.learn.influences.whole import Whole, advance, at_rest, point, single
from tracegrad.learn.local import Local, Rows
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Moment
from tracegrad.model.neuron import ports
from tracegrad.model.stage import Stage

X, Z, ONE = "x", "z", "one"


class Factors(NamedTuple):
    """Of one layer: A, what its synapses saw; B by port and the coefficients' exact influence.

    B and the coefficients' are tangents of the whole state with the layer's neurons as last axis.
    """

    seen: Rows
    reach: dict[str, Whole]
    coefficients: dict[str, Whole]


class Pairs(NamedTuple):
    """The factors of every layer, the readout's own trace, and what to draw from next."""

    layers: tuple[Factors, ...]
    readout: Trace
    key: Key[Array, " batch"]


class Kronecker(AbstractInfluence):
    r"""Unbiased estimate of every layer's influence as a Kronecker product, $G\approx B\otimes A$.

    $A\leftarrow\nu_0p_0A+\nu_1p_1\hat a,\quad B\leftarrow\nu_0p_0^{-1}HB+\nu_1p_1^{-1}D$   (1)

    $p_0=\sqrt{\|HB\|/\|A\|},\quad p_1=\sqrt{\|D\|/\|\hat a\|},\quad\nu_0,\nu_1=\pm1$   (2)

    because the immediate influence is itself such a product, $F=D\otimes\hat a$ with
    $\hat a=[x;z^{t-1};1]$ and $D=\partial h/\partial I$. $h$ is the state of the whole network, so
    that B reaches other layers and the readout; each port of a neuron has columns of its own in B.
    Neuron parameters have no presynaptic side and are exact, at the cost of B, and so are the
    readout's own. Memory O(batch n^2 k), time O(batch n p) a step, for n neurons in all.
    """

    unbiased: ClassVar[bool] = True

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing is dropped."""
        return circuit

    def init(self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray) -> Pairs:
        """All factors zero."""
        rest = at_rest(circuit, taps, batch)
        layers = tuple(_no_factors(stage, rest, batch) for stage in circuit.hidden)
        return Pairs(layers, no_trace(circuit, batch), jax.random.split(key, batch))

    def begin(self, memory: Pairs, feedback: Feedback) -> Pairs:
        """See `AbstractInfluence`."""

        def fresh(wholes: dict[str, Whole]) -> dict[str, Whole]:
            return {name: whole.begin() for name, whole in wholes.items()}

        layers = (Factors(a.seen, fresh(a.reach), fresh(a.coefficients)) for a in memory.layers)
        return memory._replace(layers=tuple(layers))

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: Pairs,
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> Pairs:
        """Equations (1) and (2) for every layer, each sample with its own signs."""

        def one(memory: Pairs, at: Whole, moment: Moment) -> Pairs:
            later, now = jax.random.split(memory.key)
            signs = jax.random.rademacher(now, (len(memory.layers), 2), moment.before[0].z.dtype)
            here = _Here(circuit, taps, at, moment)
            layers = tuple(
                here.push(index, factors, signs[index])
                for index, factors in enumerate(memory.layers)
            )
            return memory._replace(layers=layers, key=later)

        at = point(moment, at_rest(circuit, taps, moment.before[0].z.shape[0]))
        pushed = jax.vmap(one)(memory, at, moment)
        return pushed._replace(readout=push_readout(circuit, memory.readout, moment, locals_))

    def pull(self, circuit: Circuit, memory: Pairs, cotangents: Cotangents) -> Circuit:
        r"""$(cB)\otimes A$, summed over the batch."""
        hidden = tuple(
            _pull_layer(stage, factors, cotangents)
            for stage, factors in zip(circuit.hidden, memory.layers, strict=True)
        )
        readout = pull_readout(circuit, memory.readout, cotangents[-1][OUTPUT])
        return Circuit((*hidden, readout), circuit.all_layers)


class _Here(NamedTuple):
    """One step of one sample, where it is differentiated."""

    circuit: Circuit
    taps: Taps
    at: Whole
    moment: Moment

    def push(self, index: int, factors: Factors, signs: Float[Array, " 2"]) -> Factors:
        """Both factors of one layer one step on, and the influence of its coefficients."""
        stage = self.circuit.stages[index]
        seen = {X: self.moment.incoming[index], Z: self.moment.before[index].z}
        seen[ONE] = jnp.ones_like(seen[X][:1])
        still = jnp.zeros_like(seen[Z])
        drive = {port: _columns(self._driven(index, port), still) for port in factors.reach}
        moved = {port: self._move(whole) for port, whole in factors.reach.items()}
        old, new = balance(moved, factors.seen), balance(drive, seen)
        reach, seen = jax.tree.map(lambda a, b: signs[0] * a + signs[1] * b, old, new)
        coefficients = {
            name: jax.tree.map(
                jnp.add, self._move(old), _columns(self._shifted(index, name), value)
            )
            for (name, old), value in zip(
                factors.coefficients.items(), stage.coefficients.values(), strict=True
            )
        }
        return Factors(seen, reach, coefficients)

    def _step(self, circuit: Circuit, before: Whole, added: tuple[Rows, ...] | None) -> Whole:
        extra = None if added is None else single(added)
        x = self.moment.incoming[0][None]
        after = advance(circuit, self.taps, single(before), x, extra)
        return jax.tree.map(lambda a: a[0], after)

    def _driven(self, index: int, port: str) -> Callable[[Array], Whole]:
        """The step as a function of current on top of one port of one layer."""

        def step(current: Array) -> Whole:
            added = tuple({port: current} if i == index else {} for i in range(self._depth))
            return self._step(self.circuit, self.at, added)

        return step

    def _shifted(self, index: int, name: str) -> Callable[[Array], Whole]:
        """The step as a function of one coefficient of one layer."""

        def step(value: Array) -> Whole:
            changed = eqx.tree_at(lambda c: c.stages[index].coefficients[name], self.circuit, value)
            return self._step(changed, self.at, None)

        return step

    def _move(self, tangents: Whole) -> Whole:
        """H times every column."""

        def move(tangent: Whole) -> Whole:
            step = jax.jvp(lambda h: self._step(self.circuit, h, None), (self.at,), (tangent,))
            return step[1]

        return jax.vmap(move, in_axes=-1, out_axes=-1)(tangents)

    @property
    def _depth(self) -> int:
        return len(self.circuit.stages)


def _columns(step: Callable[[Array], Whole], at: Float[Array, " n"]) -> Whole:
    """The derivative of a step with respect to each of `n` numbers, as last axis."""
    units = jnp.eye(at.shape[0], dtype=at.dtype)
    return jax.vmap(lambda unit: jax.jvp(step, (at,), (unit,))[1], out_axes=-1)(units)


def _no_factors(stage: Stage, rest: Whole, batch: int) -> Factors:
    def zeros(*shape: int) -> Array:
        return jnp.zeros((batch, *shape), stage.dtype)

    none = jax.tree.map(lambda a: zeros(*a.shape[1:], stage.size), rest)
    seen = {X: zeros(stage.lines), Z: zeros(stage.size), ONE: zeros(1)}
    coefficients = {name: none for name in stage.coefficients}
    return Factors(seen, {port: none for port in ports(stage.neuron)}, coefficients)


def _pull_layer(stage: Stage, factors: Factors, cotangents: Cotangents) -> Stage:
    met = {port: whole.meet(cotangents) for port, whole in factors.reach.items()}

    def outer(part: dict[str, Any], seen: Array) -> dict[str, Any]:
        return {port: jnp.einsum("bn,bm->nm", met[port], seen) for port in part}

    bias, recurrent = stage.bias, stage.recurrent
    return Stage(
        outer(stage.weight, factors.seen[X]),
        None if recurrent is None else outer(recurrent, factors.seen[Z]),
        None if bias is None else {p: b[:, 0] for p, b in outer(bias, factors.seen[ONE]).items()},
        {
            name: jnp.sum(whole.meet(cotangents), axis=0)
            for name, whole in factors.coefficients.items()
        },
        stage.neuron,
    )
