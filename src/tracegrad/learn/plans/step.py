"""step: carry the influence itself, one step at a time; the plain plan and the oracle of others."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT, RATE, Tap, Taps
from tracegrad.learn.influence import AbstractInfluence, Cotangents, held_once, through_self
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
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback, Heard, Signals
from tracegrad.model.network import Circuit, hold
from tracegrad.model.over_time import over_time
from tracegrad.model.parameter import setting
from tracegrad.model.stage import Ports


class Progress(NamedTuple):
    """What the scan over a block carries."""

    stream: Stream
    gradient: Circuit
    loss: Float[Array, ""]
    counts: tuple[Float[Array, "batch _"], ...]


class Step(AbstractPlan):
    """Push the influence at every step and pull the gradient out at once.

    The only plan for an update at every step with a general optimiser. Cost a step: that of the
    rule's influence. `common` are states of each stage whose traces all neurons have in common
    (`alike`): they are held factored, as one vector, which leaves of a current-based neuron's three
    traces a synapse the filtered one.
    """

    common: tuple[frozenset[str], ...] = setting(())

    @property
    def influence(self) -> AbstractInfluence:
        """The rule's influence; offline rules have none and another plan."""
        influence = self.rule.influence
        assert isinstance(influence, AbstractInfluence)
        return held_once(influence, self.common)

    def shaped(self, circuit: Circuit) -> Circuit:
        """As the influence is carried."""
        return self.influence.shaped(circuit, self.taps(circuit))

    def taps(self, circuit: Circuit) -> Taps:
        """The filter's taps, and the running sum that the rate regulariser reads."""
        one = jnp.ones((), circuit.stages[0].dtype)
        rate = {RATE: Tap(one, one)} if self.loss.rate.strength else {}
        return self.rule.filter.taps(circuit) | rate

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """See `AbstractPlan`."""
        return self.influence.init(circuit, self.taps(circuit), batch, key)

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        circuit = self.influence.prepare(circuit)
        dtype = data.xs.dtype
        start = Progress(
            stream._replace(memory=self.influence.begin(stream.memory, feedback)),
            jax.tree.map(jnp.zeros_like, circuit),
            jnp.zeros((), dtype),
            tuple(jnp.zeros_like(stage.z) for stage in stream.state[:-1]),
        )

        def body(progress: Progress, now: tuple) -> tuple[Progress, Array]:
            return self.one(circuit, feedback, progress, now)

        first = circuit.stages[0].feedforward(data.xs)
        end, outputs = over_time(body, start, (data.xs, first, data.ys, data.weight, data.valid))
        steps = count_steps(data)
        gradient = end.gradient
        if self.loss.rate.strength:
            errors = [{RATE: self.loss.rate.error(count, steps)} for count in end.counts]
            silent = {OUTPUT: jnp.zeros_like(end.stream.state[-1].z)}
            pulled = self.influence.pull(circuit, end.stream.memory, (*errors, silent))
            gradient = jax.tree.map(jnp.add, gradient, pulled)
        return Outcome(gradient, end.stream, end.loss, outputs, mean_rates(end.counts, steps))

    def one(
        self,
        circuit: Circuit,
        feedback: Feedback,
        progress: Progress,
        now: tuple,
        selves: tuple[Ports, ...] = (),
    ) -> tuple[Progress, Array]:
        """One step; `now` is the input, its current, target, loss weight and whether it exists.

        `selves` are self-weights of each stage, where the circuit does not show them.
        """
        x, first, target, weight, valid = now
        old = progress.stream
        moment = circuit.step(old.state, x, first)
        state = hold(valid, moment.after, old.state)
        loss, error = loss_and_error(self.loss, state[-1].z, target, weight)
        judged = Judged(moment, error, target, weight, valid)
        before = (old.memory, old.signal)
        pulled, memory, remembered = self.learn(circuit, feedback, before, judged, selves)
        counts = tuple(
            count + hold(valid, after.z, jnp.zeros_like(after.z))
            for count, after in zip(progress.counts, moment.after[:-1], strict=True)
        )
        gradient = jax.tree.map(jnp.add, progress.gradient, pulled)
        stream = Stream(state, memory, remembered)
        return Progress(stream, gradient, progress.loss + loss, counts), state[-1].z

    def learn(
        self,
        circuit: Circuit,
        feedback: Feedback,
        old: tuple[Any, Any],
        judged: Judged,
        selves: tuple[Ports, ...] = (),
    ) -> tuple[Circuit, Any, Any]:
        """The gradient of one step that happened, and what influence and signal remember of it.

        `old` is what they remembered before; the circuit is as the influence prepared it.
        """
        moment, error, target, weight, valid = judged
        locals_ = tuple(map(local, circuit.stages, moment.before, moment.current))
        if selves:
            locals_ = tuple(map(through_self, locals_, selves))
        pushed = self.influence.push(circuit, self.taps(circuit), old[0], moment, locals_)
        memory = hold(valid, pushed, old[0])
        gains = tuple(here.gain for here in locals_)
        heard = self.rule.hear(circuit, Heard(moment, gains, error, target, weight, self.loss))
        signals, remembered = self.rule.signal(circuit, feedback, heard, old[1])
        # A signal may predict, and padding has no error that would silence it.
        signals = hold(valid, signals, jax.tree.map(jnp.zeros_like, signals))
        cotangents: Cotangents = (*meet(self.rule, circuit, signals), {OUTPUT: error})
        pulled = self.influence.pull(circuit, memory, cotangents)
        return pulled, memory, hold(valid, remembered, old[1])


def meet(rule: Rule, circuit: Circuit, signals: Signals) -> list[dict[str, Array]]:
    """What the signals ask of every hidden layer: of its output, a tap, or states by name."""
    if not signals:
        return [{} for _ in circuit.hidden]
    meets = rule.filter.meets(circuit)
    return [s if isinstance(s, dict) else {meets: s} for s in signals]
