"""cost: what a network does on data, in NeuroBench's metrics, and what learning adds to it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num, Shaped

from tracegrad.learn.local import emission, local
from tracegrad.model.linear_map import AbstractMap, FanIn, Weights
from tracegrad.model.network import Network, State, hold, real
from tracegrad.model.neuron import ports
from tracegrad.model.stage import Stage, StageState


@dataclass(frozen=True)
class SynapticOperations:
    """Products of a weight and an input, per sample; `Dense` counts zeros too.

    A connection whose inputs are all 0 or 1 accumulates (AC), any other multiplies (MAC).
    """

    Effective_MACs: float
    Effective_ACs: float
    Dense: float

    @property
    def effective(self) -> float:
        """All that are not zero."""
        return self.Effective_MACs + self.Effective_ACs


@dataclass(frozen=True)
class LearningOperations:
    """What learning adds, per sample, for a three-factor rule with one trace a presynaptic line.

    Per step, over connections of m lines: `trace_macs` m each (none if traces decay when needed);
    at steps that teach, with h the neurons whose surrogate derivative is not zero, a the lines
    whose trace is not zero and O readout units: `feedback_macs` h O each layer, `weight_updates`
    h a each connection, a O for the readout's. `random_draws` are those of stochastic rounding.
    `words_moved` are numbers read and written: 3 an update (a weight twice, a trace), and 2 for
    each number that a synapse stores for itself. A rule that computes more than these factors costs
    more; `audit` counts its operations.
    """

    neuron_updates: float
    trace_macs: float
    feedback_macs: float
    weight_updates: float
    random_draws: float
    words_moved: float


@dataclass(frozen=True)
class Cost:
    """NeuroBench's metrics of a network on data; counts are means per sample.

    `footprint` is bytes of parameters, `state_bytes` what a sample carries besides; sparsities are
    shares of zeros, of weights and of hidden outputs; `membrane_updates` counts a neuron at each
    step at which its state changes, the readout's units among them.
    """

    samples: int
    steps: float
    footprint: int
    state_bytes: int
    connection_sparsity: float
    activation_sparsity: float
    synaptic_operations: SynapticOperations
    membrane_updates: float
    learning: LearningOperations

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Teaching:
    """What the costs of learning depend on besides the network and its input.

    `learns` are the steps that teach (None: all). A trace at or below `resolution` is zero (0: it
    never forgets). `stored` numbers a synapse keeps for itself (0 for factored traces, `audit`
    tells). With `stochastic` every update draws a random number.
    """

    learns: Bool[np.ndarray, "T B"] | None = None
    resolution: float = 0.0
    stored: int = 0
    stochastic: bool = False


EVERY_STEP = Teaching()


def cost(
    network: Network,
    xs: Shaped[Array, "T B m"],
    valid: Bool[np.ndarray, "T B"] | None = None,
    teaching: Teaching = EVERY_STEP,
) -> Cost:
    r"""Count what a network with weights does on data `xs`, and what learning adds.

    Steps that are not `valid` do not count. A line's trace is $\bar x\leftarrow\lambda\bar x+x$
    with the slowest leak $\lambda$ of the neurons it drives, at rest. Memory O(T B n), time that of
    a run and of counting its outputs. Definitions: NeuroBench 2.3; learning, for which it has none,
    from the three-factor rule itself: counts of an algorithm, not of a chip.

        cost(network, xs).synaptic_operations.effective
    """
    xs = real(xs)
    exists = np.ones(xs.shape[:2], bool) if valid is None else np.asarray(valid)
    samples = int(exists.any(axis=0).sum())
    if not samples:
        raise ValueError("The data must have at least one valid step, got none.")
    run = [Ran(*map(np.asarray, ran)) for ran in _run(network, xs, jnp.asarray(exists))]
    stages = network.discretise().stages
    joins = list(_joins(network, stages, np.asarray(xs), run))
    state = jax.tree.leaves(stages_at_rest(stages))
    outputs = [ran.z[exists] for ran in run[:-1]]
    stored = [value for join in joins for value in join.stored]
    return Cost(
        samples,
        float(exists.sum() / samples),
        sum(leaf.nbytes for leaf in jax.tree.leaves(network)),
        sum(leaf.nbytes for leaf in state),
        _zeros(stored),
        _zeros(outputs),
        _operations(joins, exists, samples),
        float(sum(ran.moved[exists].sum() for ran in run) / samples),
        _learning(joins, run, exists, teaching),
    )


def stages_at_rest(stages: tuple[Stage, ...]) -> State:
    """What one sample carries."""
    return tuple(stage.rest(1) for stage in stages)


class Ran(NamedTuple):
    """A stage over time: outputs, which states changed, where the surrogate is not zero."""

    z: Float[np.ndarray, "T B n"]
    moved: Bool[np.ndarray, "T B n"]
    open: Bool[np.ndarray, "T B n"]


@eqx.filter_jit
def _run(
    network: Network, xs: Float[Array, "T B m"], valid: Bool[Array, "T B"]
) -> tuple[tuple[Array, Array, Array], ...]:
    circuit = network.discretise()

    def seen(stage: Stage, before: StageState, after: StageState) -> tuple[Array, Array, Array]:
        pairs = [(before.s[name], after.s[name]) for name in after.s]
        moved = jnp.any(jnp.stack([a != b for a, b in pairs]), axis=0)
        _, emit = emission(stage, after.s)
        opened = jnp.any(jnp.stack([slope != 0 for slope in emit.values()]), axis=0)
        return after.z, moved, opened

    def body(state: State, now: tuple) -> tuple[State, tuple]:
        x, first, valid = now
        after = hold(valid, circuit.step(state, x, first).after, state)
        return after, tuple(map(seen, circuit.stages, state, after))

    first = circuit.stages[0].feedforward(xs)
    return jax.lax.scan(body, circuit.rest(xs.shape[1]), (xs, first, valid))[1]


class Join(NamedTuple):
    """A connection: what comes in over time, where it leads, and its weights.

    `stored` are its weights as kept, `synapses` and `nonzero` those of each line; `mask` says which
    neuron has a synapse on which line, None where each has one on all.
    """

    x: Num[np.ndarray, "T B m"]
    stage: int
    leak: float
    stored: list[Num[np.ndarray, "..."]]
    synapses: Int[np.ndarray, "m"]
    nonzero: Int[np.ndarray, "m"]
    mask: Num[np.ndarray, "n m"] | None


def _joins(
    network: Network, stages: tuple[Stage, ...], xs: Num[np.ndarray, "T B m"], run: list[Ran]
) -> Iterator[Join]:
    """Every connection of the network, one for each current."""
    for index, stage in enumerate(stages):
        below = xs if index == 0 else run[index - 1].z
        if index == len(stages) - 1 and network.readout.all_layers:
            below = np.concatenate([ran.z for ran in run[:-1]], axis=-1)
        leak = _leak(stage)
        for weight in stage.weight.values():
            yield _join(weight, below, index, leak)
        own = run[index].z
        last = np.concatenate([np.zeros_like(own[:1]), own[:-1]])
        for weight in (stage.recurrent or {}).values():
            yield _join(weight, last, index, leak)


def _join(weight: Weights, x: Num[np.ndarray, "T B m"], stage: int, leak: float) -> Join:
    if not isinstance(weight, AbstractMap):
        matrix = np.asarray(weight)
        synapses = np.full(matrix.shape[1], len(matrix))
        return Join(x, stage, leak, [matrix], synapses, (matrix != 0).sum(0), None)
    listed = weight.fan_in()
    places, values = listed.places.index, np.asarray(listed.weight)
    there = places < listed.lines
    mask = np.zeros((listed.size, listed.lines + 1))
    np.add.at(mask, (np.arange(listed.size)[:, None], places), 1.0)
    lines = listed.lines
    stored = values[there] if isinstance(weight, FanIn) else np.asarray(weight.weight)
    return Join(
        x,
        stage,
        leak,
        [stored] if stored.ndim else [],  # a pooling has one number, which is no weight
        np.bincount(places[there], minlength=lines),
        np.bincount(places[there & (values != 0)], minlength=lines),
        mask[:, :lines],
    )


@eqx.filter_jit
def _memory(stage: Stage) -> Float[Array, "n k k"]:
    """How each neuron's states act on themselves, at rest."""
    rest = stage.rest(1)
    current = {port: jnp.zeros_like(rest.z) for port in ports(stage.neuron)}
    own = local(stage, rest, current).own
    rows = [jnp.stack([own[row][column][0] for column in own], axis=-1) for row in own]
    return jnp.stack(rows, axis=-2)


def _leak(stage: Stage) -> float:
    """The slowest decay of a stage's states, at rest."""
    return float(np.abs(np.linalg.eigvals(np.asarray(_memory(stage)))).max())


def _zeros(arrays: list[Num[np.ndarray, "..."]]) -> float:
    """The share of zeros."""
    total = sum(array.size for array in arrays)
    return float(sum((array == 0).sum() for array in arrays) / total) if total else 0.0


def _operations(
    joins: list[Join], exists: Bool[np.ndarray, "T B"], samples: int
) -> SynapticOperations:
    macs, acs, dense = 0.0, 0.0, 0.0
    for join in joins:
        x = join.x[exists]
        effective = float((x != 0).sum(0) @ join.nonzero)
        if np.isin(x, (0, 1)).all():
            acs += effective
        else:
            macs += effective
        dense += float(exists.sum() * join.synapses.sum())
    return SynapticOperations(macs / samples, acs / samples, dense / samples)


def _learning(
    joins: list[Join], run: list[Ran], exists: Bool[np.ndarray, "T B"], teaching: Teaching
) -> LearningOperations:
    learns = exists if teaching.learns is None else exists & teaching.learns
    steps, samples = float(exists.sum()), int(exists.any(axis=0).sum())
    outputs, last = run[-1].z.shape[-1], len(run) - 1
    updates = 0.0
    for join in joins:
        active = _active(join, exists, teaching.resolution)[learns].astype(float)
        opened = np.ones_like(run[last].z) if join.stage == last else run[join.stage].open
        updates += _pairs(opened[learns].astype(float), active, join.mask)
    feedback = sum(float(ran.open[learns].sum()) * outputs for ran in run[:-1])
    return LearningOperations(
        neuron_updates=steps * sum(ran.z.shape[-1] for ran in run) / samples,
        trace_macs=steps * sum(join.x.shape[-1] for join in joins) / samples,
        feedback_macs=feedback / samples,
        weight_updates=updates / samples,
        random_draws=updates / samples if teaching.stochastic else 0.0,
        words_moved=updates * (3 + 2 * teaching.stored) / samples,
    )


def _pairs(
    opened: Float[np.ndarray, "K n"],
    active: Float[np.ndarray, "K m"],
    mask: Num[np.ndarray, "n m"] | None,
) -> float:
    """Synapses between an open neuron and an active line, over all steps."""
    if mask is None:
        return float(opened.sum(1) @ active.sum(1))
    return float(((opened @ mask) * active).sum())


def _active(
    join: Join, exists: Bool[np.ndarray, "T B"], resolution: float
) -> Bool[np.ndarray, "T B m"]:
    """Where the trace of a line is not zero."""
    trace, found = np.zeros(join.x.shape[1:]), np.empty(join.x.shape, bool)
    for step, (x, there) in enumerate(zip(join.x, exists, strict=True)):
        trace = np.where(there[:, None], join.leak * trace + x, trace)
        found[step] = np.abs(trace) > resolution
    return found
