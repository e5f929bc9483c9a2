"""Needed bits: the fewest in which a rule still finds its gradient, measured kind by kind.

Bits are enough where, of every matrix of weights, the gradient of a batch has a cosine of 0.99 to
that in float. One kind of number is rounded at a time, as the platform does it, with its point put
where the largest number of that kind fits. Whether small changes of a weight are lost, which
depends on the learning rate, is another question.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import frexp
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from tracegrad.errors import UsageError
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.plan import AbstractPlan, Data
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule
from tracegrad.model import Network
from tracegrad.model.network import Circuit
from tracegrad.substrate.decays import decays_of
from tracegrad.substrate.demand import Demand
from tracegrad.substrate.fixed import EXACT_BITS, Fixed
from tracegrad.substrate.from_preset import OVERFLOWS, ROUNDINGS, made
from tracegrad.substrate.number import Number
from tracegrad.substrate.presets import Format, Preset, WeightFormat
from tracegrad.substrate.substrate import IDEAL, Substrate
from tracegrad.substrate.weights import Weights
from tracegrad.substrate.widths import Needed, formats

ENOUGH = 0.99  # of a cosine: a choice, and a strict one


class Lesson(NamedTuple):
    """A network with weights, a rule, and data to learn from."""

    network: Network
    rule: Rule
    loss: Loss
    data: Data


def needed_bits(lesson: Lesson, demand: Demand, preset: Preset) -> dict[str, Needed]:
    """Fewest bits of weights, states, traces and signals, and the gradient in those there are.

    Kinds that the rule does not have are left out, and a kind for which the platform has no format
    is rounded to nearest. Six gradients a kind, each compiled: minutes, even for a small
    network. By bisection, for which more bits are no worse.
    """
    exact = gradient(lesson, IDEAL)
    if not all(np.any(part) for part in exact):
        raise UsageError(
            "The gradient of some weights is zero on these data, so no bits can be measured. Train "
            "the run until its neurons spike."
        )
    peaks = {"weights": 1.0} | largest(lesson)  # weights have a scale of their own

    def one(kind: str, format: Format | WeightFormat | None) -> Needed:
        @cache
        def cosine(bits: int) -> float:
            held = rounded_to(kind, bits, peaks[kind], format, preset)
            return agreement(exact, gradient(lesson, held))

        there = None if format is None else cosine(format.bits)
        return Needed(fewest(lambda bits: cosine(bits) >= ENOUGH), there)

    known = formats(demand, preset)
    return {kind: one(kind, format) for kind, format in known.items() if peaks.get(kind)}


def fewest(enough: Callable[[int], bool]) -> int | None:
    """The least number of bits from 2 to 24 that is enough, by bisection; None if none is."""
    low, high = 2, EXACT_BITS + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return None if low > EXACT_BITS else low


def rounded_to(
    kind: str, bits: int, peak: float, format: Format | WeightFormat | None, preset: Preset
) -> Substrate:
    """A substrate that has one kind of number in so many bits, up to `peak`, and all else ideal."""
    if kind == "weights":
        weights = made(preset).weights or Weights()
        return Substrate(kind, replace(weights, format=replace(weights.format, bits=bits)))
    assert not isinstance(format, WeightFormat)
    format = format or Format("", bits)
    fraction = bits - format.signed - frexp(peak)[1]
    fixed = Fixed(bits, fraction, format.signed, OVERFLOWS[format.overflow])
    number = Number(fixed, ROUNDINGS[format.rounding])
    return replace(Substrate(kind), **{kind: number})


def gradient(lesson: Lesson, substrate: Substrate) -> list[np.ndarray]:
    """The gradient of each matrix of weights, over all steps of the batch, on a substrate."""
    start, key = jax.random.split(jax.random.key(0))
    feedback = lesson.rule.signal.init(lesson.network, start)
    network, feedback, placed = substrate.place(lesson.network, feedback, key)
    circuit = substrate.read(network, placed).discretise()
    plan = _plan(substrate.rule(lesson.rule), lesson.loss)

    def learn(circuit: Circuit, data: Data) -> Circuit:
        stream = plan.rest(circuit, data.xs.shape[1], key)
        return plan.block(circuit, feedback, stream, data).gradient

    found = jax.jit(learn)(circuit, lesson.data)
    weights = [(stage.weight, stage.recurrent) for stage in found.stages]
    return [np.asarray(leaf) for leaf in jax.tree.leaves(weights)]


def agreement(exact: list[np.ndarray], other: list[np.ndarray]) -> float:
    """The least cosine of two gradients over the matrices; 0 where one has vanished."""

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        norms = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(np.vdot(a, b)) / norms if norms else 0.0

    return min(cosine(a, b) for a, b in zip(exact, other, strict=True))


class Peak(Number):
    """A number that is held as it is; `note` is told the largest magnitude of every array."""

    note: Any = eqx.field(static=True, default=None)

    def hold(self, x: Array, state: Any) -> tuple[Array, Any]:
        """The number itself."""
        jax.debug.callback(self.note, jnp.max(jnp.abs(x), initial=0.0))
        return x, state


def largest(lesson: Lesson) -> dict[str, float]:
    """The largest magnitude of each kind in float; 0 or left out where there are none."""
    found = {"states": _largest_state(lesson)}
    influence = lesson.rule.influence
    if not isinstance(influence, AbstractInfluence) or isinstance(influence, Rewarded):
        return found
    heard: dict[str, list[float]] = {"traces": [], "signals": []}
    traces, signals = (
        Peak(note=lambda x, kind=kind: heard[kind].append(float(x))) for kind in heard
    )
    gradient(lesson, Substrate("listening", traces=traces, signals=signals))
    jax.effects_barrier()
    return found | {kind: max(peaks, default=0.0) for kind, peaks in heard.items()}


def _largest_state(lesson: Lesson) -> float:
    """Of all states over all steps, and of coefficients that meet them, such as thresholds."""
    network, data = lesson.network, lesson.data
    circuit = network.discretise()

    def body(state: Any, now: tuple) -> tuple[Any, Array]:
        after = circuit.step(state, *now).after
        sizes = [jnp.max(jnp.abs(a)) for a in jax.tree.leaves([stage.s for stage in after])]
        return after, jnp.max(jnp.stack(sizes))

    first = circuit.stages[0].feedforward(data.xs)
    _, peaks = jax.jit(
        lambda: jax.lax.scan(body, circuit.rest(data.xs.shape[1]), (data.xs, first))
    )()
    met = [
        float(jnp.max(jnp.abs(value)))
        for part in (*network.layers, network.readout)
        for name, value in part.neuron.coefficients(network.dt).items()
        if name not in decays_of(part.neuron, network.dt)
    ]
    return max([float(peaks.max()), *met])


def _plan(rule: Rule, loss: Loss) -> AbstractPlan:
    """Step by step, as numbers are rounded at every step; rules without a step have their own."""
    if isinstance(rule.influence, AbstractInfluence) and not isinstance(rule.influence, Rewarded):
        return Step(rule=rule, loss=loss)
    return choose(rule, loss, Work(None, carry=False)).plan
