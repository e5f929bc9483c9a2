"""Locality: whom a rule's weight changes need, found by perturbing one quantity at a time."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool

from tracegrad.inspect.probe import probe
from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.local import local
from tracegrad.learn.loss import mean_squared_error
from tracegrad.learn.plans.step import Step, meet
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import Heard
from tracegrad.model.network import Circuit, Moment, Network
from tracegrad.model.neuron import CURRENT

_WARM = 3  # steps after which every number of the memory that can differ from zero does
_ONLY = f".{CURRENT}"
_MOVED = 1e-6  # relative to the largest change of the same quantity


class Needs(NamedTuple):
    """What the change of one kind of parameter needs, over all time, besides its own memory.

    `presynaptic`: its own line's activity; `postsynaptic`: its own neuron's state; `layer`: other
    neurons of its layer or other lines of its input; `beyond`: states of other layers; `broadcast`:
    the error or the target; `transport`: weights that belong to other synapses.
    """

    presynaptic: bool
    postsynaptic: bool
    layer: bool
    beyond: bool
    broadcast: bool
    transport: bool

    @property
    def local(self) -> bool:
        """Whether it needs its two neurons, and at most a broadcast and fixed feedback."""
        return not (self.layer or self.beyond or self.transport)


class _Seen(NamedTuple):
    """All that a rule may look at in one step."""

    moment: Moment
    memory: Any  # the influence's and the signal's
    error: Array
    target: Array
    circuit: Circuit


def locality(network: Network, rule: Rule) -> dict[str, Needs]:
    """What the change of every kind of parameter needs; for small networks, O(size^3).

    One step of the rule is run again and again with one number changed at a time (an input, a
    neuron's state, a number of the rule's memory, the error, a weight), on random values, and what
    moves is recorded. A number of the memory that moves hands its own needs on, until nothing new
    is found; so a need of any past step is seen. The network's own dynamics are not followed: what
    a neuron's state needs, it needs without learning too.
    """
    plan = Step(_always(rule), mean_squared_error())
    network = network.init(jax.random.key(0))
    base, fixed = _random_step(plan, network)
    feedback = rule.signal.init(network, jax.random.key(3))
    learn = jax.jit(lambda seen: _learn(plan, feedback, seen, fixed))
    for _ in range(_WARM):
        base = base._replace(memory=learn(base)[0])
    flat, restore = ravel_pytree(base)

    def step(flat: Array) -> tuple[Array, Array]:
        memory, gradient = learn(restore(flat))
        return ravel_pytree(memory)[0], ravel_pytree(gradient)[0]

    kicks = jnp.diag(0.3 + 0.5 * jax.random.uniform(jax.random.key(4), flat.shape))
    still = jax.jit(step)(flat)
    moved = jax.jit(jax.vmap(lambda kick: step(flat + kick)))(kicks)
    memory, gradient = (_moves(a, b) for a, b in zip(still, moved, strict=True))
    places = restore(jnp.arange(flat.size, dtype=flat.dtype))
    where = _numbers(places.memory)
    used = np.asarray(flat)[where] != 0.0  # the others are zero for ever
    return _classify(places, _close(memory[used], gradient, where[used]))


def started(network: Network, rule: Rule) -> int:
    """Numbers of the rule's memory that one more spike on an input line moves in the same step.

    Counted on two small copies of the network and scaled by the size of the first layer: a power of
    it that the two determine (0 for a presynaptic trace, 1 for a trace per synapse).
    """
    few, many = (_started(probe(network, size), rule) for size in (2, 4))
    power = round(np.log2(many / few))
    return round(few * (network.layers[0].input.outputs / 2) ** power)


def _started(network: Network, rule: Rule) -> int:
    plan = Step(_always(rule), mean_squared_error())
    network = network.init(jax.random.key(0))
    seen, fixed = _random_step(plan, network)
    feedback = rule.signal.init(network, jax.random.key(3))
    below = seen.moment.incoming[0]

    def memory(x: Array) -> Any:
        moment = seen.moment._replace(incoming=(x, *seen.moment.incoming[1:]))
        return _learn(plan, feedback, seen._replace(moment=moment), fixed)[0]

    one = jnp.zeros_like(below).at[0, 0].set(1.0)
    moved = jax.jit(lambda x: jax.jvp(memory, (x,), (one,))[1])(below)
    return sum(int(jnp.count_nonzero(a)) for a in jax.tree.leaves(moved))


def _always(rule: Rule) -> Rule:
    """The rule with no step left out: one that is would seem to need nothing."""
    assert isinstance(rule.influence, AbstractInfluence)
    return rule._replace(influence=rule.influence.every_step())


def _numbers(places: Any) -> np.ndarray:
    """Where a part of what the rule looks at lies among the perturbed numbers."""
    return np.asarray(ravel_pytree(places)[0], int)


def _moves(still: Array, moved: Array) -> Bool[np.ndarray, "outputs inputs"]:
    change = np.abs(np.asarray(moved - still[None])).T
    largest = change.max(initial=0.0)
    return change > _MOVED * max(largest, 1e-30)


def _close(memory: np.ndarray, gradient: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Add to what the gradient needs all that the memory it reads has ever needed."""
    while True:
        wider = memory | (memory[:, where].astype(int) @ memory.astype(int) > 0)
        if (wider == memory).all():
            return gradient | (gradient[:, where].astype(int) @ memory.astype(int) > 0)
        memory = wider


def _random_step(plan: Step, network: Network) -> tuple[_Seen, Any]:
    """A step with every input, state and error away from zero; random keys stay apart."""
    circuit = network.discretise()
    keys = iter(jax.random.split(jax.random.key(1), 7))

    def noise(tree: Any) -> Any:
        flat, restore = ravel_pytree(tree)
        return restore(0.5 + jax.random.uniform(next(keys), flat.shape, flat.dtype))

    stream = plan.rest(circuit, 1, next(keys))
    x = jnp.zeros((1, circuit.stages[0].lines), circuit.stages[0].dtype)
    moment = noise(circuit.step(stream.state, x, circuit.stages[0].feedforward(x)))
    memory, fixed = eqx.partition((stream.memory, stream.signal), eqx.is_inexact_array)
    error = noise(moment.after[-1].z)
    return _Seen(moment, memory, error, noise(error), circuit), fixed


def _learn(plan: Step, feedback: Any, seen: _Seen, fixed: Any) -> tuple[Any, Circuit]:
    """The rule's memory after the step, and what the step adds to the gradient."""
    rule = plan.rule
    assert isinstance(rule.influence, AbstractInfluence)
    circuit = rule.influence.prepare(seen.circuit)
    moment = seen.moment
    locals_ = tuple(map(local, circuit.stages, moment.before, moment.current))
    before, remembered = eqx.combine(seen.memory, fixed)
    memory = rule.influence.push(circuit, plan.taps(circuit), before, moment, locals_)
    gains, one = tuple(here.gain for here in locals_), jnp.ones(1, seen.error.dtype)
    plain = Heard(moment, gains, seen.error, seen.target, one, plan.loss)
    heard = rule.hear(circuit, plain)
    signals, remembered = rule.signal(circuit, feedback, heard, remembered)
    asked = meet(rule, circuit, signals)
    gradient = rule.influence.pull(circuit, memory, (*asked, {OUTPUT: seen.error}))
    return eqx.filter((memory, remembered), eqx.is_inexact_array), gradient


def _classify(places: _Seen, needed: np.ndarray) -> dict[str, Needs]:
    """Read the needs of each kind of parameter off the table of moves."""
    row = 0
    found: dict[str, Needs] = {}
    stages = places.circuit.stages
    for index, stage in enumerate(stages):
        title = "readout" if index == len(stages) - 1 else f"layers.{index}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(stage):
            kind = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(_ONLY)
            rows = needed[row : row + leaf.size].reshape(*leaf.shape, -1)
            found[f"{title}.{kind}"] = _of(places, index, kind, rows)
            row += leaf.size
    return found


def _of(places: _Seen, index: int, kind: str, rows: np.ndarray) -> Needs:
    """Needs of all entries of one array of one stage."""
    parts = [_of_one(places, index, kind, at, rows[at]) for at in np.ndindex(rows.shape[:-1])]
    return Needs(*(any(values) for values in zip(*parts, strict=True)))


def _of_one(places: _Seen, index: int, kind: str, at: tuple, row: np.ndarray) -> Needs:
    """Needs of one parameter: entry `at` of `kind` of stage `index`."""
    neuron = at[0]
    moment = places.moment

    def hit(tree: Any) -> bool:
        return bool(row[_numbers(tree)].any())

    def pick(trees: Any, neuron: int) -> Any:
        return jax.tree.map(lambda a: a[:, neuron], trees)

    own_states = (moment.before[index], moment.current[index], moment.after[index])
    lines = moment.before[index].z if kind.startswith("recurrent") else moment.incoming[index]
    post = hit(pick(own_states, neuron))
    pre = len(at) > 1 and hit(lines[:, at[1]])
    sources = set(_numbers((own_states, moment.incoming[index])))
    allowed = set(_numbers(pick(own_states, neuron)))
    allowed |= set(_numbers(lines[:, at[1]])) if len(at) > 1 else set()
    others = row[sorted(sources - allowed)].any()
    rest = [
        (moment.before[k], moment.current[k], moment.after[k])
        for k in range(len(moment.before))
        if k != index
    ]
    beyond = hit(rest) if rest else False
    weights = _foreign(places.circuit, index, neuron)
    return Needs(
        presynaptic=bool(pre),
        postsynaptic=post,
        layer=bool(others),
        beyond=beyond,
        broadcast=hit((places.error, places.target)),
        transport=bool(row[weights].any()),
    )


def _foreign(circuit: Circuit, index: int, neuron: int) -> np.ndarray:
    """Numbers of all weights that do not end on the neuron itself."""
    every = [(stage.weight, stage.recurrent, stage.bias) for stage in circuit.stages]
    own = jax.tree.map(lambda a: a[neuron], every[index])
    return np.setdiff1d(_numbers(every), _numbers(own))
