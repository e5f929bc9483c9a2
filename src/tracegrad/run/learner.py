"""Learner: a network, a rule, a loss and an optimiser, learning from a stream."""

from copy import copy
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, ArrayLike, Bool, Float, Num, PRNGKeyArray, Shaped

from tracegrad.learn.alike import alike
from tracegrad.learn.loss import Loss, mean_squared_error
from tracegrad.learn.paths import neurons_learn, pull_back, require_paths
from tracegrad.learn.plans.chunked_sgd import ChunkedSGD, Inside, chunkable, in_chunks
from tracegrad.learn.plans.limit import Shape, fit
from tracegrad.learn.plans.plan import AbstractPlan, Data, Outcome, Stream
from tracegrad.learn.plans.planner import Choice, Work, choose
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Network
from tracegrad.model.over_time import over_time
from tracegrad.model.parameter import count
from tracegrad.run.given_plan import check_chunked, check_common, check_plan, check_step
from tracegrad.run.learner_state import (
    Gradient,
    Info,
    LearnerState,
    apart,
    block_of,
    stream_of,
    waiting_gradient,
    windows_of,
)
from tracegrad.run.mesh import ALONE, Spread
from tracegrad.substrate.substrate import IDEAL, Placed, Substrate, move

T = TypeVar("T")


class Learner:
    r"""Learns online, by a rule, from $L=\frac1B\sum_b\sum_t w^t_b\,\ell(y^t_b,y^{*t}_b)$.

    `update_every` steps the optimiser changes the weights (`None`: once per call of `run` or
    `sequence`); in between the gradient is summed. All parameters learn that `network.freeze` does
    not exclude. States are donated: use the returned state, not the one handed in. Example:

    ```python
    learner = tg.Learner(net, tg.rules.eprop(), tg.losses.cross_entropy(), optax.adam(1e-3),
                         update_every=1)
    state = learner.init(jax.random.key(0), batch=32)
    state, info = learner.step(state, x_t, y_t)  # one time step of a live stream
    state, info = learner.run(state, xs, ys)  # a block of steps, compiled
    ```
    """

    def __init__(
        self,
        network: Network,
        rule: Rule,
        loss: Loss,
        optimiser: optax.GradientTransformation,
        update_every: int | None = None,
        plan: AbstractPlan | None = None,
    ):
        """Compose a learner; refuses what the rule cannot serve and parameters it cannot reach."""
        if update_every is not None and count("update_every", update_every) < 1:
            raise ValueError(f"update_every must be at least 1, or None, got {update_every}.")
        if plan is not None:
            check_plan(plan, rule, loss, update_every)
            check_common(plan, network)
        rule.check_schedule(update_every, loss)
        rule.check(network)
        rule.check_loss(loss)
        loss.check(network)
        self.network, self.rule, self.loss = network, rule, loss
        self.optimiser = optimiser if rule.around is None else rule.around(optimiser)
        self.update_every = update_every
        self.substrate = IDEAL
        self._given = plan
        self._density: float | None = None
        self._shape: Shape | None = None
        self._limit: int | None = None
        self.spread = ALONE
        require_paths(
            network, choose(rule, mean_squared_error(), Work(update_every, carry=True)).plan
        )
        self._common = self._in_common()
        self._plain = update_every == 1 and chunkable(network, rule, loss, self.optimiser)
        if plan is not None:
            check_chunked(plan, self._plain)
        self._compile()

    def _compile(self) -> None:
        """Nothing is compiled before it is called with the shapes it is called with."""
        held = partial(self.spread.held, blank=self._blank)
        self.step = jax.jit(held(self._step, axis=0), donate_argnums=0)
        self.run = jax.jit(held(self._run), donate_argnums=0)
        self.sequence = jax.jit(held(self._sequence), donate_argnums=0)
        self.gradient = jax.jit(held(self._gradient))

    def _in_common(self) -> tuple[frozenset[str], ...]:
        """Traces held once, but on a substrate that rounds each."""
        return alike(self.network, self.rule.influence) if self.substrate.plain else ()

    def for_input(self, xs: Shaped[ArrayLike, "*shape"]) -> "Learner":
        """The same learner, planned for input as sparse as `xs` (time, batch, m): see `plan`.

        Sequences that do not depend on each other (`sequence` with `update_every=None`) are then
        learned from event by event where that is the cheaper way. The gradient is the same.
        """
        given = np.asarray(xs)
        if not given.size:
            raise ValueError(f"for_input needs some input, got an array of shape {given.shape}.")
        return self._with(_density=float(np.mean(given != 0)), _shape=Shape.of(given))

    def within(self, memory_limit: int) -> "Learner":
        """The same learner, planned to need at most so many bytes for a gradient: see `plan`.

        They are estimated, besides input, weights and optimiser. Independent sequences get the
        fastest plan that fits; where none does, or a stream needs more, a call is refused.
        """
        if memory_limit < 1:
            raise ValueError(f"memory_limit must be at least 1 byte, got {memory_limit}.")
        return self._with(_limit=memory_limit)

    def over(self, mesh: Mesh) -> "Learner":
        """The same learner with batch and neurons over devices: see `run.mesh`.

        The mesh has the axis "data", "neuron", or both. Refuses a plan that runs on one device.
        """
        if self._given is not None and not self._given.partitions:
            raise ValueError(f"{type(self._given).__name__} runs on one device. Leave it out.")
        return self._with(spread=Spread.of(mesh, self.network))

    def _with(self, **changes: Any) -> "Learner":
        other = copy(self)
        vars(other).update(changes)
        other._compile()
        return other

    def on(self, substrate: Substrate) -> "Learner":
        """The same learner on a substrate, in whose numbers network and rule compute.

        Refuses a rule or a plan that the substrate's formats do not allow.
        """
        rule, plain = substrate.rule(self.rule), self._plain and substrate.ideal
        given = None if self._given is None else move(self._given, rule, substrate)
        other = self._with(substrate=substrate, rule=rule, _given=given, _plain=plain)
        other._common = other._in_common()
        return other

    def deployed(self, state: LearnerState) -> Network:
        """The network that computes: what is stored, as the substrate reads it."""
        return self.substrate.read(state.network, state.placed)

    def _circuit(self, state: LearnerState) -> Circuit:
        return self.deployed(state).discretise()

    @property
    def plan(self) -> Choice:
        """The plan for sequences, and why; `print(learner.plan)`."""
        return self._for_sequences(self._shape)

    def _for_sequences(self, shape: Shape | None) -> Choice:
        carry = self.update_every is not None
        return self._fitting(self._choice(self.update_every, carry), shape, settled=carry)

    def _fitting(self, choice: Choice, shape: Shape | None, settled: bool) -> Choice:
        """The choice, or one that fits into the limit unless it is settled."""
        if self._limit is None:
            return choice
        circuit = self.network.init(jax.random.key(0)).discretise()
        part = None if shape is None else shape.cut(self.update_every)
        return fit(choice, circuit, part, self._limit, settled or self._given is not None)

    def _choice(self, steps: int | None, carry: bool) -> Choice:
        if self._given is not None:
            return Choice(self._given, "it was asked for")
        work = Work(
            steps, carry, self._density, neurons_learn(self.network), self._common, self._plain
        )._replace(many=self.spread.many)
        if self._density is None or carry:
            return choose(self.rule, self.loss, work)
        network, _, placed = self.substrate.place(
            self.network.init(jax.random.key(0)), (), jax.random.key(0)
        )
        circuit = self.substrate.read(network, placed).discretise()
        return choose(self.rule, self.loss, work, circuit)

    def _plan(self, steps: int | None, shape: Shape | None = None) -> AbstractPlan:
        """The plan for blocks of `steps` steps of a stream."""
        return self._fitting(self._choice(steps, carry=True), shape, settled=True).plan

    def init(self, key: PRNGKeyArray, batch: int, stream: bool = True) -> LearnerState:
        """Fresh state for `batch` parallel streams: weights drawn, traces and states at zero.

        With `stream=False` it has no stream and none of its traces, for `sequence` alone; so it is
        with a plan that carries nothing from block to block.
        """
        return self.spread.made(partial(self._start, key, stream), self._drawn(key), batch)

    def _blank(self, stream: bool, batch: int) -> LearnerState:
        return self._start(jax.random.key(0), stream, self._drawn(jax.random.key(0)), batch)

    def _drawn(self, key: PRNGKeyArray) -> tuple[Network, Feedback, Placed]:
        weights, feedback_key = jax.random.split(key)
        network = self.network.init(weights)
        feedback = self.rule.signal.init(network, feedback_key)
        return self.substrate.place(network, feedback, jax.random.fold_in(key, 2))

    def _start(
        self, key: PRNGKeyArray, stream: bool, drawn: tuple[Network, Feedback, Placed], batch: int
    ) -> LearnerState:
        network, feedback, placed = drawn
        now, later = jax.random.split(jax.random.fold_in(key, 1))
        state = LearnerState(
            network,
            feedback,
            self.optimiser.init(self._learned(network, feedback)),
            None,
            jax.tree.map(jnp.zeros_like, (network, feedback if self.rule.signal.adapts else ())),
            jnp.zeros((), jnp.int32),
            later,
            placed,
        )
        carries = self._given is None or self._given.carries
        rest = self._rest(state, batch, now) if stream and carries else None
        return apart(state._replace(stream=rest))

    def reset(self, state: LearnerState) -> LearnerState:
        """The same weights with states and traces at rest; gradient not yet used is kept."""
        batch = stream_of(state).state[0].z.shape[0]
        now, later = jax.random.split(state.key)
        state = state._replace(stream=apart(self._rest(state, batch, now)), key=later)
        return self.spread.hold(state, self._blank, batch)

    def _rest(self, state: LearnerState, batch: int, key: PRNGKeyArray) -> Stream:
        return self._plan(self.update_every).rest(self._circuit(state), batch, key)

    def _step(
        self,
        state: LearnerState,
        x: Shaped[Array, "batch m"],
        y: Num[Array, "batch *o"],
        weight: Float[Array, " batch"] | None = None,
        valid: Bool[Array, " batch"] | None = None,
    ) -> tuple[LearnerState, Info]:
        """One time step of a stream; the weights change after every `update_every` such steps."""
        every = check_step(self.update_every, self.loss)
        plan = self._plan(1, Shape(1, x.shape[0]))
        data = block_of(
            plan, x[None], y[None], *(None if a is None else a[None] for a in (weight, valid))
        )
        state, outcome = self._accumulate(state, plan, data)
        due = state.waiting >= every
        state = jax.lax.cond(due, self._update, lambda state: state, state)
        return state, Info(outcome.loss, outcome.outputs[0], outcome.rates)

    def _run(
        self,
        state: LearnerState,
        xs: Shaped[Array, "time batch m"],
        ys: Num[Array, "time batch *o"],
        weight: Float[Array, "time batch"] | None = None,
        valid: Bool[Array, "time batch"] | None = None,
    ) -> tuple[LearnerState, Info]:
        """A block of steps that follows on the steps before; its length is a multiple of K."""
        plan = self._plan(self.update_every, Shape(*xs.shape[:2]))
        return self._windows(state, block_of(plan, xs, ys, weight, valid), plan)

    def _sequence(
        self,
        state: LearnerState,
        xs: Shaped[Array, "time batch m"],
        ys: Num[Array, "time batch *o"],
        weight: Float[Array, "time batch"] | None = None,
        valid: Bool[Array, "time batch"] | None = None,
    ) -> tuple[LearnerState, Info]:
        """Whole sequences, one per sample: from rest, and nothing is carried over.

        The stream of `step` and `run` is left as it is.
        """
        plan = self._for_sequences(Shape(*xs.shape[:2])).plan
        data = block_of(plan, xs, ys, weight, valid)
        now, later = jax.random.split(state.key)
        rest = plan.rest(self._circuit(state), xs.shape[1], now)
        ended, info = self._windows(state._replace(stream=rest), data, plan)
        return ended._replace(stream=state.stream, key=later), info

    def _gradient(
        self,
        state: LearnerState,
        xs: Shaped[Array, "time batch m"],
        ys: Num[Array, "time batch *o"],
        weight: Float[Array, "time batch"] | None = None,
        valid: Bool[Array, "time batch"] | None = None,
    ) -> tuple[Network, LearnerState, Info]:
        """The gradient of a block, without an update, and the stream carried on."""
        plan = self._plan(self.update_every, Shape(*xs.shape[:2]))
        data = block_of(plan, xs, ys, weight, valid)
        state, gradient, outcome = self._learn(state, plan, data)
        return gradient[0], state, Info(outcome.loss, outcome.outputs, outcome.rates)

    def _windows(
        self, state: LearnerState, data: Data, plan: AbstractPlan
    ) -> tuple[LearnerState, Info]:
        """An update after each window of `update_every` steps."""
        steps = data.xs.shape[0]
        every = self.update_every or steps
        held = state.gradient
        if self.update_every in (None, 1):  # none ever waits, and zeros would be read and written
            state = state._replace(gradient=None)
        if steps == every:
            state, outcome = self._window(plan, state, data)
            outputs, rates = outcome.outputs, outcome.rates
        else:
            state, outcome = self._walk(state, windows_of(data, every), plan)
            outputs = outcome.outputs.reshape(steps, *outcome.outputs.shape[2:])
            rates = tuple(jnp.mean(rate, axis=0) for rate in outcome.rates)
        state = state._replace(gradient=held) if state.gradient is None else state
        return state, Info(jnp.sum(outcome.loss), outputs, rates)

    def _walk(
        self, state: LearnerState, windows: Data, plan: AbstractPlan | Inside
    ) -> tuple[LearnerState, Outcome]:
        """One window after the other."""
        if isinstance(plan, ChunkedSGD):
            return in_chunks(plan, state, windows, self._walk)
        return over_time(partial(self._window, plan), state, windows, inside=windows.xs.shape[1])

    def _window(
        self, plan: AbstractPlan | Inside, state: LearnerState, data: Data
    ) -> tuple[LearnerState, Outcome]:
        """A window and the update after it, with what waits, if anything does."""
        state, gradient, outcome = self._learn(state, plan, data)
        if state.gradient is not None:
            gradient = jax.tree.map(jnp.add, state.gradient, gradient)
            state = self._none_waits(state)
        return self._descend(state, gradient), outcome._replace(gradient=None, stream=None)

    def _accumulate(
        self, state: LearnerState, plan: AbstractPlan, data: Data
    ) -> tuple[LearnerState, Outcome]:
        """Add the gradient of a block to what waits for the next update."""
        state, fresh, outcome = self._learn(state, plan, data)
        total = jax.tree.map(jnp.add, waiting_gradient(state), fresh)
        waiting = state.waiting + data.xs.shape[0]
        return state._replace(gradient=total, waiting=waiting), outcome

    def _learn(
        self, state: LearnerState, plan: AbstractPlan | Inside, data: Data
    ) -> tuple[LearnerState, Gradient, Outcome]:
        """The state after a block, and the gradient of the block."""
        circuit = self._circuit(state)
        outcome = plan.block(circuit, state.feedback, stream_of(state), data)
        gradient, feedback, signal = self.rule.signal.learn(
            circuit, state.feedback, outcome.gradient, outcome.stream.signal
        )
        stream = outcome.stream._replace(signal=signal)
        pulled = pull_back(
            state.network, gradient, lambda n: self._circuit(state._replace(network=n))
        )
        placed = self.substrate.age(state.placed, data.xs.shape[0], state.network.dt)
        return state._replace(stream=stream, placed=placed), (pulled, feedback), outcome

    def _update(self, state: LearnerState) -> LearnerState:
        """Let the optimiser use the gradient that waits, and clear it."""
        return self._descend(self._none_waits(state), waiting_gradient(state))

    def _none_waits(self, state: LearnerState) -> LearnerState:
        none = jax.tree.map(jnp.zeros_like, state.gradient)
        return state._replace(gradient=none, waiting=jnp.zeros((), jnp.int32))

    def _descend(self, state: LearnerState, gradient: Gradient) -> LearnerState:
        """Let the optimiser use a gradient."""
        before = self._learned(state.network, state.feedback)
        changes, optimiser = self.optimiser.update(
            self._learned(*gradient), state.optimiser, before
        )
        (learned, feedback), placed = self.substrate.write(before, changes, state.placed)
        fixed = eqx.filter(state.network, state.network.learning(), inverse=True)
        return state._replace(
            network=eqx.combine(learned, fixed),
            feedback=feedback or state.feedback,
            optimiser=optimiser,
            placed=placed,
        )

    def _learned(self, network: Network, feedback: Feedback) -> Any:
        """What the optimiser sees: parameters that learn, and feedback if the signal adapts it."""
        return eqx.filter(network, network.learning()), feedback if self.rule.signal.adapts else ()
