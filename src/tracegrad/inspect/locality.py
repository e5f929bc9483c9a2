"""Locality: whom a rule's weight changes need, found by perturbing one quantity at a time."""

from math import prod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool

from tracegrad.inspect.perturb import Seen, every_step, look, random_step
from tracegrad.inspect.probe import probe
from tracegrad.inspect.wiring import wiring
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.rule import Rule
from tracegrad.model.network import Circuit, Network
from tracegrad.model.neuron import CURRENT

# A step runs a few times only: compiling it costs far more.
QUICK: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
_DRAWS = 3  # random steps; a need that is seen at one of them is one
_WARM = 3  # steps after which every number of the memory that can differ from zero does
_ONLY = f".{CURRENT}"


class Needs(NamedTuple):
    """What the change of one kind of parameter needs, over all time, besides its own memory.

    `presynaptic`: its own line's activity; `postsynaptic`: its own neuron's state; `layer`: other
    neurons of its layer or other lines of its input; `beyond`: states of other layers; `broadcast`:
    the error, the target or the readout's output, of which both are made; `transport`: weights that
    belong to other synapses; `shared`: the same of every other place where the weight stands, for
    the change of a shared kernel is the sum over all its places.
    """

    presynaptic: bool
    postsynaptic: bool
    layer: bool
    beyond: bool
    broadcast: bool
    transport: bool
    shared: bool = False

    @property
    def local(self) -> bool:
        """Whether it needs its two neurons, and at most a broadcast and fixed feedback."""
        return not (self.layer or self.beyond or self.transport or self.shared)


class Located(NamedTuple):
    """Needs by kind of parameter, and which numbers of the memory one more input spike moves.

    `moved` has a mask for every array of what `carried` returns, on the small network.
    """

    needs: dict[str, Needs]
    moved: list[Bool[np.ndarray, "..."]]

    def on(self, sizes: list[tuple[int, ...]]) -> int:
        """How many numbers that is where the arrays have other sizes.

        An axis along which all of the small array moves does so at any size, and where fewer move
        than all that lie on such axes, they are a diagonal.
        """
        return sum(map(_scaled, self.moved, sizes))


def locality(network: Network, rule: Rule) -> dict[str, Needs]:
    """What the change of every kind of parameter needs, found on a small copy, O(copy^3).

    The copy (`probe`) has a weight of its own for every synapse; which weights of the network are
    shared is read off its connections, and what has no weight to learn is left out. One step of the
    rule is run again and again with one number changed at a time (an input, a neuron's state, a
    number of the rule's memory or of feedback that learns, the error, a weight), on random values,
    and what moves is recorded. A number of the memory that moves hands its own needs on, until
    nothing new is found; so a need of any past step is seen. The network's own dynamics are not
    followed: what a neuron's state needs, it needs without learning too; only a rule that keeps
    past steps and runs through them again needs all that it runs through. Rules that keep the graph
    of a block have no step and are refused with `ValueError`.
    """
    return locate(network, rule).needs


def locate(network: Network, rule: Rule) -> Located:
    """As `locality`, and what an input spike moves."""
    if not rule.online:
        raise ValueError(
            f"{rule.name} learns from whole blocks and has no step to look at. Choose an online "
            "rule."
        )
    plan = every_step(_none_left_out(rule))
    small = probe(network)
    start = jax.jit(lambda key: random_step(plan, small, key), compiler_options=QUICK)
    kick = jax.jit(lambda *given: look(plan, *given), compiler_options=QUICK)
    tables, at = [], None
    for draw in range(_DRAWS):
        seen, feedback, memory = start(jax.random.key(draw))
        moved: list[Any] = []
        for _ in range(_WARM):
            numbers, fixed = eqx.partition(memory, eqx.is_inexact_array)
            at = seen._replace(memory=numbers)
            memory, *moved = kick(at, fixed, feedback)
        assert at is not None
        tables.append(_Table.of(at, *map(np.asarray, moved)))
    assert at is not None
    places = _places(at)
    shapes = [a.shape for a in jax.tree.leaves(places.memory)]
    ends = np.cumsum([prod(shape) for shape in shapes])[:-1]
    spike = np.any([table.spike for table in tables], axis=0)
    masks = [m.reshape(s) for m, s in zip(np.split(spike, ends), shapes, strict=True)]
    needed = np.any([table.needed for table in tables], axis=0)
    return Located(_as_wired(network, _classify(places, needed)), masks)


def _as_wired(network: Network, needs: dict[str, Needs]) -> dict[str, Needs]:
    """What is true of every synapse, said of the weights that the network has."""
    for index, layer in enumerate(network.layers):
        wired = wiring(layer.input)
        for name in [f"layers.{index}.{kind}" for kind in ("weight", "bias")]:
            if name in needs and not wired.learns:
                needs = {key: value for key, value in needs.items() if key != name}
            elif name in needs and wired.shared:
                needs = needs | {name: needs[name]._replace(shared=True)}
    return needs


def _none_left_out(rule: Rule) -> Rule:
    """The rule with a gradient at every step: one that is left out would seem to need nothing."""
    if not isinstance(rule.influence, AbstractInfluence):
        return rule
    return rule._replace(influence=rule.influence.every_step())


def _scaled(mask: Bool[np.ndarray, "..."], sizes: tuple[int, ...]) -> int:
    """How many entries of an array of `sizes` move as those of the small one do."""
    count = int(mask.sum())
    if not count:
        return 0
    hit = [len(set(axis)) for axis in np.nonzero(mask)]
    whole = [n if h == small else h for n, h, small in zip(sizes, hit, mask.shape, strict=True)]
    diagonal = prod(hit) // count  # the size of the axis that runs along with another
    shared = next((n for n, h in zip(whole, hit, strict=True) if h == diagonal > 1), 1)
    return prod(whole) // shared


def _numbers(places: Any) -> np.ndarray:
    """Where a part of what the rule looks at lies among the perturbed numbers."""
    return np.concatenate([np.zeros(0, int), *map(np.ravel, jax.tree.leaves(places))])


def _close(memory: np.ndarray, gradient: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Add to what the gradient needs all that the memory it reads has ever needed."""
    while True:
        wider = memory | (memory[:, where].astype(int) @ memory.astype(int) > 0)
        if (wider == memory).all():
            return gradient | (gradient[:, where].astype(int) @ memory.astype(int) > 0)
        memory = wider


class _Table(NamedTuple):
    """Of one random step: what every parameter needs, and what a spike on the first line moves."""

    needed: Bool[np.ndarray, "parameters numbers"]
    spike: Bool[np.ndarray, " memory"]

    @staticmethod
    def of(at: Seen, memory: Bool[np.ndarray, "_ _"], gradient: Bool[np.ndarray, "_ _"]) -> Any:
        """From what moves with every number (second axis) within the step."""
        places = _places(at)
        where, line = _numbers(places.memory), int(places.moment.incoming[0][0, 0])
        used = np.asarray(ravel_pytree(at.memory)[0]) != 0.0  # the others are zero for ever
        return _Table(_close(memory[used], gradient, where[used]), memory[:, line])


def _places(seen: Seen) -> Seen:
    """Where every number lies among all that are perturbed."""
    leaves, structure = jax.tree.flatten(seen)
    ends = np.cumsum([0, *(leaf.size for leaf in leaves)])
    places = [np.arange(e, e + a.size).reshape(a.shape) for e, a in zip(ends, leaves, strict=False)]
    return jax.tree.unflatten(structure, places)


def _classify(places: Seen, needed: np.ndarray) -> dict[str, Needs]:
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


def _of(places: Seen, index: int, kind: str, rows: np.ndarray) -> Needs:
    """Needs of all entries of one array of one stage."""
    parts = [_of_one(places, index, kind, at, rows[at]) for at in np.ndindex(rows.shape[:-1])]
    return Needs(*(any(values) for values in zip(*parts, strict=True)))


def _of_one(places: Seen, index: int, kind: str, at: tuple, row: np.ndarray) -> Needs:
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
    told = set(_numbers((places.error, places.target, moment.after[-1].z)))
    others = row[sorted(sources - allowed - told)].any()
    rest = [
        (moment.before[k], moment.current[k], moment.after[k])
        for k in range(len(moment.before))
        if k != index
    ]
    elsewhere = set(_numbers((rest, moment.incoming[:index]))) - told
    weights = _foreign(places.circuit, index, neuron)
    return Needs(
        presynaptic=bool(pre),
        postsynaptic=post,
        layer=bool(others),
        beyond=bool(row[sorted(elsewhere)].any()),
        broadcast=bool(row[sorted(told)].any()),
        transport=bool(row[weights].any()),
    )


def _foreign(circuit: Circuit, index: int, neuron: int) -> np.ndarray:
    """Numbers of all weights that do not end on the neuron itself."""
    every = [(stage.weight, stage.recurrent, stage.bias) for stage in circuit.stages]
    own = jax.tree.map(lambda a: a[neuron], every[index])
    return np.setdiff1d(_numbers(every), _numbers(own))
