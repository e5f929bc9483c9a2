"""reward: products of signal and trace, filtered in time, that wait for the next TD error."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.influence import Cotangents
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.local import local
from tracegrad.learn.loss import loss_and_error
from tracegrad.learn.plans.plan import (
    AbstractPlan,
    Data,
    Judged,
    Outcome,
    Stream,
    count_steps,
    mean_rates,
)
from tracegrad.learn.signal import Feedback, Heard
from tracegrad.model.network import Circuit, hold
from tracegrad.model.over_time import over_time


class Waiting(NamedTuple):
    r"""The traces; $F_\gamma$ of every parameter, (batch, ...); and the step that awaits a value.

    `reward` and `value` are of that step, `acted` is 0 where there is none; each (batch,).
    """

    traces: Any
    eligible: Circuit
    reward: Float[Array, " batch"]
    value: Float[Array, " batch"]
    acted: Float[Array, " batch"]


class Progress(NamedTuple):
    """What the scan over a block carries."""

    stream: Stream
    gradient: Circuit
    loss: Float[Array, ""]
    counts: tuple[Float[Array, "batch _"], ...]


class Reward(AbstractPlan):
    r"""$\nabla=\sum_t\delta^tF_\gamma^t,\quad\delta^t=r^t+\gamma V^{t+1}-V^t$   (1)

    with $\delta^t$ known at step $t+1$ only. A step of weight zero closes an episode: its value
    counts as zero, and $F_\gamma$ begins anew after it. The loss reported is $\frac12\delta^2$.
    Memory O(batch (k + taps + 1) p), time O(batch k^2 p) a step.
    """

    @property
    def influence(self) -> Rewarded:
        """The rule's influence."""
        assert isinstance(self.rule.influence, Rewarded)
        return self.rule.influence

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Waiting:
        """See `AbstractPlan`."""
        traces = self.influence.init(circuit, self.rule.filter.taps(circuit), batch, key)
        nothing = jnp.zeros((batch,), circuit.stages[0].dtype)
        eligible = jax.tree.map(
            lambda a: jnp.zeros((batch, *a.shape), a.dtype), self.influence.prepare(circuit)
        )
        return Waiting(traces, eligible, nothing, nothing, nothing)

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        circuit = self.influence.prepare(circuit)
        start = Progress(
            stream,
            jax.tree.map(jnp.zeros_like, circuit),
            jnp.zeros((), data.xs.dtype),
            tuple(jnp.zeros_like(stage.z) for stage in stream.state[:-1]),
        )

        def body(progress: Progress, now: tuple) -> tuple[Progress, Array]:
            return self._one(circuit, feedback, progress, now)

        first = circuit.stages[0].feedforward(data.xs)
        end, outputs = over_time(body, start, (data.xs, first, data.ys, data.weight, data.valid))
        rates = mean_rates(end.counts, count_steps(data))
        return Outcome(end.gradient, end.stream, end.loss, outputs, rates)

    def _one(
        self, circuit: Circuit, feedback: Feedback, progress: Progress, now: tuple
    ) -> tuple[Progress, Array]:
        x, first, target, weight, valid = now
        old = progress.stream
        moment = circuit.step(old.state, x, first)
        error = loss_and_error(self.loss, moment.after[-1].z, target, weight)[1]
        judged = Judged(moment, error, target, weight, valid)
        surprise = self._surprise(old.memory, judged)
        pulled, memory, remembered = self.learn(circuit, feedback, (old.memory, old.signal), judged)
        gradient = jax.tree.map(jnp.add, progress.gradient, pulled)
        stream = Stream(hold(valid, moment.after, old.state), memory, remembered)
        counts = tuple(
            count + hold(valid, after.z, jnp.zeros_like(after.z))
            for count, after in zip(progress.counts, moment.after[:-1], strict=True)
        )
        loss = progress.loss + 0.5 * jnp.mean(surprise**2)
        return Progress(stream, gradient, loss, counts), stream.state[-1].z

    def learn(
        self, circuit: Circuit, feedback: Feedback, old: tuple[Waiting, Any], judged: Judged
    ) -> tuple[Circuit, Waiting, Any]:
        """The gradient at one step that happened, and what waits for the next, as in `Step`."""
        moment, error, target, weight, valid = judged
        waiting, gamma = old[0], self.influence.discount
        locals_ = tuple(map(local, circuit.stages, moment.before, moment.current))
        taps = self.rule.filter.taps(circuit)
        traces = self.influence.push(circuit, taps, waiting.traces, moment, locals_)
        surprise = self._surprise(waiting, judged)
        gradient = jax.tree.map(lambda f: jnp.tensordot(surprise, f, axes=1), waiting.eligible)
        gains = tuple(here.gain for here in locals_)
        heard = self.rule.hear(circuit, Heard(moment, gains, error, target, weight, self.loss))
        signals: Any
        signals, remembered = self.rule.signal(circuit, feedback, heard, old[1])
        product = self._product(circuit, traces, signals, error)
        acts = _acts(judged)
        eligible = jax.tree.map(
            lambda f, p: gamma * _over(acts, f) * f + p, waiting.eligible, product
        )
        now = Waiting(traces, eligible, acts * target[:, -1], _value(judged), acts)
        return gradient, *hold(valid, (now, remembered), old)

    def _surprise(self, waiting: Waiting, judged: Judged) -> Float[Array, " batch"]:
        """The TD error of the step before, zero at padding."""
        gamma = self.influence.discount
        surprise = waiting.acted * (waiting.reward + gamma * _value(judged) - waiting.value)
        return hold(judged.valid, surprise, jnp.zeros_like(surprise))

    def _product(
        self, circuit: Circuit, traces: Any, signals: tuple[Array, ...], error: Array
    ) -> Circuit:
        """Signal times trace of every sample apart, the readout's with its own error."""
        meets = self.rule.filter.meets(circuit)
        cotangents: Cotangents = (*({meets: signal} for signal in signals), {OUTPUT: error})

        def one(traces: Any, cotangents: Any) -> Circuit:
            alone = jax.tree.map(lambda a: a[None], (traces, cotangents))
            return self.influence.pull(circuit, *alone)

        return jax.vmap(one)(traces, cotangents)


def _acts(judged: Judged) -> Float[Array, " batch"]:
    """1 where the step belongs to an episode, 0 where it closes one."""
    return (judged.weight > 0).astype(judged.error.dtype)


def _value(judged: Judged) -> Float[Array, " batch"]:
    """The critic's value of the step."""
    return _acts(judged) * judged.moment.after[-1].z[:, -1]


def _over(values: Float[Array, " batch"], like: Array) -> Array:
    """Values of each sample, to multiply `like` with."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))
