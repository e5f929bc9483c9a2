"""Record: one sequence seen step by step with a rule's own parts, for pictures."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from tracegrad.data import Batch
from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.influence import Block, Trace, eligibility
from tracegrad.learn.local import Local, Rows, local
from tracegrad.learn.loss import Loss, loss_and_error
from tracegrad.learn.plans.plan import Data, through_readout
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Feedback, Heard
from tracegrad.model.network import Circuit, Network, State
from tracegrad.run.evaluate import on_device
from tracegrad.run.learner import LearnerState


class Factors(NamedTuple):
    r"""The factors of one input synapse of the first layer over time, and which synapse it is.

    `local` are the derivatives of its neuron's step that the trace is made of, by name: `own` of a
    state from a state, `echo` of a state from the last output, `drive` of a state from the current,
    `emit` of the output from a state. `trace` is the (filtered) eligibility trace $\bar e_{ji}$,
    `signal` the learning signal $L_j$; the gradient is the sum of their product over time.
    """

    neuron: int
    line: int
    presynaptic: Float[np.ndarray, " T"]
    trace: Float[np.ndarray, " T"]
    signal: Float[np.ndarray, " T"]
    local: dict[str, Float[np.ndarray, " T"]]

    @property
    def product(self) -> Float[np.ndarray, " T"]:
        """What each step adds to the gradient."""
        return self.trace * self.signal


class Record(NamedTuple):
    """One sequence: input, outputs of the hidden layers, a state of the first, and the factors.

    `state` is the first layer's membrane (`v`) or, for rate units, its activity; `dt` in seconds.
    `targets` and their loss `weight` are as the task gives them. `factors` is None for a rule
    without eligibility traces (bptt, rtrl).
    """

    dt: float
    inputs: Float[np.ndarray, "T m"]
    hidden: tuple[Float[np.ndarray, "T _"], ...]
    state_name: str
    state: Float[np.ndarray, "T n"]
    readout: Float[np.ndarray, "T o"]
    targets: Num[np.ndarray, "T *o"]
    weight: Float[np.ndarray, " T"]
    factors: Factors | None


class _Seen(NamedTuple):
    """One step: states of the first layer, outputs of all stages, factors of the synapse."""

    states: dict[str, Array]
    outputs: tuple[Array, ...]
    trace: Array
    signal: Array
    local: dict[str, Array]


class _Progress(NamedTuple):
    state: State
    memory: tuple[Trace, ...]
    signal: Any
    total: Float[Array, "n m"]


def record(learned: LearnerState, rule: Rule, loss: Loss, batch: Batch) -> Record:
    """Record the first sequence of `batch`, and one input synapse: see `Recorder`."""
    steps = int(np.asarray(batch.valid)[:, 0].sum())
    one = on_device(Batch(*(a[:steps, :1] for a in batch)))
    return Recorder(rule, loss)(learned, one)


class Recorder:
    """Records single sequences (time, 1, m) of one shape, with a program compiled once.

    It follows the input synapse (neuron, line) of the first layer that is asked for, or that with
    the largest sum of |L e|: among those whose line is silent at the first step, if any such line
    is active later, so that the trace is seen to begin. The weights stay as they are. O(n m)
    memory besides the record.
    """

    def __init__(self, rule: Rule, loss: Loss):
        """Record how this rule learns from this loss."""
        self.rule = rule
        self._run = jax.jit(partial(_run, rule, loss))

    def __call__(
        self, learned: LearnerState, one: Data, synapse: tuple[int, int] | None = None
    ) -> Record:
        """The record of a sequence, with what is asked for or one run more to find it."""
        one = one.real
        xs = np.asarray(one.xs)[:, 0]
        neuron, line = self._strongest(learned, one) if synapse is None else synapse
        chosen = jnp.asarray([neuron, line], int)
        _, seen = self._run(learned.network, learned.feedback, one, chosen)
        seen = jax.tree.map(np.asarray, seen)
        factors = Factors(neuron, line, xs[:, line], seen.trace, seen.signal, seen.local)
        name = "v" if "v" in seen.states else next(iter(seen.states))
        return Record(
            dt=learned.network.dt,
            inputs=xs,
            hidden=seen.outputs[:-1],
            state_name=name,
            state=seen.states[name],
            readout=seen.outputs[-1],
            targets=np.asarray(one.ys)[:, 0],
            weight=np.asarray(one.weight)[:, 0],
            factors=factors if isinstance(self.rule.influence, Block) else None,
        )

    def _strongest(self, learned: LearnerState, one: Data) -> tuple[int, int]:
        total, _ = self._run(learned.network, learned.feedback, one, jnp.zeros(2, int))
        late = np.asarray(total) * (np.asarray(one.xs)[0, 0] == 0)
        neuron, line = np.unravel_index(int(np.argmax(late if late.any() else total)), total.shape)
        return int(neuron), int(line)


def _run(
    rule: Rule,
    loss: Loss,
    network: Network,
    feedback: Feedback,
    batch: Data,
    synapse: Int[Array, " 2"],
) -> tuple[Float[Array, "n m"], _Seen]:
    """Sum of |L e| of every input synapse of the first layer, and what is seen at each step."""
    circuit, memory = network.discretise().as_matrices(), ()
    if isinstance(rule.influence, Block):
        circuit = rule.influence.prepare(circuit)
        memory = rule.influence.init(circuit, rule.filter.taps(circuit), 1, jax.random.key(0))

    def body(progress: _Progress, now: tuple) -> tuple[_Progress, _Seen]:
        x, first, target, weight = now
        moment = circuit.step(progress.state, x, first)
        error = loss_and_error(loss, moment.after[-1].z, target, weight)[1]
        heard = Heard(moment, (), error, target, weight, loss)
        carried = (progress.memory, progress.signal)
        (memory, remembered), e, signal, here = _factors(rule, circuit, feedback, carried, heard)
        seen = _Seen(
            {name: value[0] for name, value in moment.after[0].s.items()},
            tuple(stage.z[0] for stage in moment.after),
            e[synapse[0], synapse[1]],
            signal[synapse[0]],
            {name: value[0, synapse[0]] for name, value in here.items()},
        )
        total = progress.total + jnp.abs(signal[:, None] * e)
        return _Progress(moment.after, memory, remembered, total), seen

    nothing = jnp.zeros_like(circuit.stages[0].matrix)
    start = _Progress(
        circuit.rest(1), memory, rule.signal.rest(circuit, 1, jax.random.key(0)), nothing
    )
    first, ys = circuit.stages[0].feedforward(batch.xs), batch.ys
    if loss.kernel:
        _, ys = through_readout(circuit, circuit.stages[-1].rest(1), ys, None)
    end, seen = jax.lax.scan(body, start, (batch.xs, first, ys, batch.weight))
    return end.total, seen


def _factors(
    rule: Rule,
    circuit: Circuit,
    feedback: Feedback,
    carried: tuple[tuple[Trace, ...], Any],
    now: Heard,
) -> tuple[tuple[tuple[Trace, ...], Any], Float[Array, "n m"], Float[Array, " n"], Rows]:
    """Traces and the signal's memory one step on; the first layer's (filtered) trace and signal,
    both zero for a rule without traces, and its local derivatives, of which there are none then.
    """
    weight = circuit.stages[0].matrix
    if not isinstance(rule.influence, Block):
        return carried, jnp.zeros_like(weight), jnp.zeros_like(weight[:, 0]), {}
    locals_ = tuple(map(local, circuit.stages, now.moment.before, now.moment.current))
    memory, remembered = carried
    memory = rule.influence.push(circuit, rule.filter.taps(circuit), memory, now.moment, locals_)
    heard = rule.hear(circuit, now._replace(gains=tuple(here.gain for here in locals_)))
    signals: Any
    signals, remembered = rule.signal(circuit, feedback, heard, remembered)
    meets = rule.filter.meets(circuit)
    met = eligibility(memory[0]) if meets == OUTPUT else memory[0].taps[meets]
    trace = next(iter(met.weight.values()))[0]
    return (memory, remembered), trace, signals[0][0], _named(locals_[0])


def _named(here: Local) -> Rows:
    """The derivatives that a trace is made of, by name; a port is named where there are several."""
    own = {f"own {row} from {col}": a for row, by in here.own.items() for col, a in by.items()}
    echo = {f"echo {row}": a for row, a in here.echo.items()}
    drive = {
        f"drive {row}" if len(by) == 1 else f"drive {row} by {port}": a
        for row, by in here.drive.items()
        for port, a in by.items()
    }
    return own | echo | drive | {f"emit {row}": a for row, a in here.emit.items()}
