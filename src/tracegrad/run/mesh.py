"""Mesh: a learner's batch and neurons over devices; XLA partitions the same compiled functions.

Along the axis "data" of the mesh lies the batch, along "neuron" every array that has a hidden
neuron, by the postsynaptic one: rows of weights, states, traces. Those of the readout, whose units
are few, lie with the neurons that it reads. Traces then never travel, only spikes and learning
signals do, and along "data" the sums of gradients. Where an array lies changes what travels and no
result, but for the order of sums.
"""

import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from tracegrad.errors import UsageError
from tracegrad.learn.plans.plan import Data
from tracegrad.model.layer import Layer, Readout
from tracegrad.model.network import Network
from tracegrad.run.flat import is_key, laid, whole
from tracegrad.run.learner_state import LearnerState

T = TypeVar("T")
D = TypeVar("D")
Blank = Callable[[bool, int], LearnerState]
DATA, NEURON = "data", "neuron"


def mesh_of(text: str | None) -> Mesh | None:
    """The mesh that `data=2,neuron=4` names, over the first of the devices there are.

    Of several processes it must have all devices of all.
    """
    if text is None:
        _check_all(1, "no mesh")
        return None
    sizes: dict[str, int] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\w+)\s*=\s*(\d+)\s*", part)
        if found is None or found[1] not in (DATA, NEURON) or not int(found[2]):
            raise UsageError(
                f"mesh must give the axes data and neuron their devices, such as data=2,neuron=4, "
                f"got {text!r}."
            )
        if found[1] in sizes:
            raise UsageError(f"mesh must name each axis once, got {text!r}.")
        sizes[found[1]] = int(found[2])
    devices, needed = jax.devices(), int(np.prod(list(sizes.values())))
    if needed > len(devices):
        raise UsageError(
            f"mesh needs {needed} devices for {text}, and there are {len(devices)}. Give a smaller "
            "one, or make virtual ones with XLA_FLAGS=--xla_force_host_platform_device_count="
            f"{needed}."
        )
    _check_all(needed, text)
    return Mesh(np.array(devices[:needed]).reshape(*sizes.values()), tuple(sizes))


def _check_all(needed: int, text: str) -> None:
    """Refuse a mesh that leaves a process without work."""
    if jax.process_count() > 1 and needed != len(jax.devices()):
        raise UsageError(
            f"The mesh of {jax.process_count()} processes must have all of their "
            f"{len(jax.devices())} devices, got {text}. Give --mesh data={len(jax.devices())}."
        )


def check_batch(mesh: Mesh, batch: int) -> None:
    """Refuse a batch that the devices along "data" cannot share evenly."""
    if batch % (parts := mesh.shape.get(DATA, 1)):
        raise UsageError(
            f"The batch must be a multiple of the {parts} devices along data, got {batch}. Change "
            "one of them."
        )


class Spread(NamedTuple):
    """Where the arrays of a learner lie; without a mesh all on one device.

    `sizes` are those of the hidden layers, `outputs` is that of the readout.
    """

    mesh: Mesh | None = None
    sizes: frozenset[int] = frozenset()
    outputs: int = 0

    @staticmethod
    def of(mesh: Mesh, network: Network) -> "Spread":
        """A learner of this network over a mesh, whose axes may come in any order."""
        if not mesh.axis_names or set(mesh.axis_names) - {DATA, NEURON}:
            raise ValueError(
                f'The mesh must have the axes "data" and "neuron", or one of them, got '
                f"{mesh.axis_names}."
            )
        # Of any kind of axis: here XLA alone decides what lies where inside a function.
        plain = Mesh(mesh.devices, mesh.axis_names)
        sizes = frozenset(layer.input.outputs for layer in network.layers)
        return Spread(plain, sizes, network.readout.input.outputs)

    @property
    def many(self) -> bool:
        """Whether there is more than one device."""
        return self.mesh is not None and self.mesh.size > 1

    @property
    def several(self) -> bool:
        """Whether the devices belong to several processes, which then all do the same."""
        return self.mesh is not None and self.mesh.is_multi_process

    @property
    def first(self) -> bool:
        """Whether this process is the first, or the only one: that which writes."""
        return not self.several or jax.process_index() == 0

    def agreed(self, number: int) -> int:
        """What the first process says."""
        return int(broadcast_one_to_all(np.int32(number))) if self.several else number

    def given(self, data: Data) -> Data:
        """Data (time, batch, ...) that every process has; a device takes its part of the batch."""
        if self.mesh is None or not self.several:
            return data
        shared = NamedSharding(self.mesh, PartitionSpec(None, self._along(DATA)))
        return jax.tree.map(lambda array: laid(np.asarray(array), shared), data)

    def gathered(self, tree: T) -> T:
        """The tree whole on this process's device; all processes must ask at once."""
        return jax.tree.map(_gathered, tree) if self.several else tree

    @property
    def numerics(self) -> dict[str, str]:
        """What the last bits depend on: the order of sums."""
        if self.mesh is None:
            return {}
        return {"mesh": ",".join(f"{name}={size}" for name, size in self.mesh.shape.items())}

    def made(self, make: Callable[[D, int], T], drawn: D, batch: int) -> T:
        """`make(drawn, batch)`, of which no device ever holds more than its own part."""
        if self.mesh is None:
            return make(drawn, batch)
        check_batch(self.mesh, batch)
        where = self._shardings(partial(make, drawn), batch)
        drawn = jax.device_put(drawn, self._shardings(lambda batch: drawn, batch))
        return jax.jit(make, static_argnums=1, out_shardings=where)(drawn, batch)

    def held(self, function: Callable, blank: Blank, axis: int = 1) -> Callable:
        """`function(state, *data)` with what comes in and goes out where it belongs.

        `axis` is that of the batch in the data. `blank(stream, batch)` makes such a state.
        """
        if (mesh := self.mesh) is None:
            return function
        shared = NamedSharding(mesh, PartitionSpec(*[None] * axis, self._along(DATA)))

        @wraps(function)
        def over(state: LearnerState, *data: Any, **named: Any) -> Any:
            data, named = jax.lax.with_sharding_constraint((data, named), shared)
            batch = jax.tree.leaves((data, named))[0].shape[axis]
            check_batch(mesh, batch)
            hold = partial(self.hold, blank=blank, batch=batch)
            ended = function(hold(state), *data, **named)
            return jax.tree.map(
                lambda part: hold(part) if isinstance(part, LearnerState) else part,
                ended,
                is_leaf=lambda part: isinstance(part, LearnerState),
            )

        return over

    def hold(self, state: LearnerState, blank: Blank, batch: int) -> LearnerState:
        """The state where it belongs, of the structure that `blank(stream, batch)` has."""
        if self.mesh is None:
            return state
        where = self._shardings(partial(blank, state.stream is not None), batch)
        return jax.lax.with_sharding_constraint(state, where)

    def _shardings(self, make: Callable[[int], T], batch: int) -> T:
        """Where every array of `make(batch)` lies.

        An axis that is twice as long for twice the batch is the batch. The neuron is the axis after
        it, if it is as long as a layer, or the one behind the units of the readout (or behind what
        is held once for all neurons); of weights the row, of the readout's the column.
        """
        few, more = (jax.eval_shape(partial(make, size)) for size in (batch, 2 * batch))
        return jax.tree.map(self._part, few, more, is_leaf=_is_stage)

    def _part(self, few: Any, more: Any) -> PyTree:
        if not _is_stage(few):
            batch = batch_axis(few.shape, more.shape)
            return self._lies(few.shape, batch, self._neuron(few.shape, batch))
        n = few.input.outputs
        axis = _column if isinstance(few, Readout) else partial(_row, n=n)
        return jax.tree.map(lambda leaf: self._lies(leaf.shape, None, axis(leaf.shape)), few)

    def _neuron(self, shape: tuple[int, ...], batch: int | None) -> int | None:
        first = 0 if batch is None else batch + 1
        ahead = {1, self.outputs} - self.sizes  # a trace held once for all, units of the readout
        if len(shape) > first and shape[first] in ahead:
            first += 1
        return first if len(shape) > first and shape[first] in self.sizes else None

    def _lies(self, shape: tuple[int, ...], batch: int | None, neuron: int | None) -> NamedSharding:
        """An axis that the devices cannot share evenly is whole on each: see `placement`."""
        assert self.mesh is not None
        spec: list[str | None] = [None] * len(shape)
        for axis, name in ((batch, DATA), (neuron, NEURON)):
            if axis is not None and not shape[axis] % self.mesh.shape.get(name, 1):
                spec[axis] = self._along(name)
        return NamedSharding(self.mesh, PartitionSpec(*spec))

    def _along(self, name: str) -> str | None:
        assert self.mesh is not None
        return name if name in self.mesh.shape else None


ALONE = Spread()


def _gathered(leaf: Any) -> Any:
    if is_key(leaf):
        words = jnp.asarray(whole(jax.random.key_data(leaf)))
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
    return jnp.asarray(whole(leaf)) if isinstance(leaf, jax.Array) else leaf


def _is_stage(node: Any) -> bool:
    return isinstance(node, Layer | Readout)


def _row(shape: tuple[int, ...], n: int) -> int | None:
    """The postsynaptic axis of a layer's parameter: rows of weights, all of a vector."""
    if len(shape) > 1 and shape[-2] == n:
        return len(shape) - 2
    return len(shape) - 1 if len(shape) in (1, 2) and shape[-1:] == (n,) else None


def _column(shape: tuple[int, ...]) -> int | None:
    """The axis of the neurons that a readout reads: columns of its weights."""
    return len(shape) - 1 if len(shape) > 1 else None


def batch_axis(few: tuple[int, ...], more: tuple[int, ...]) -> int | None:
    """The axis of the batch, from an array's shapes for a batch and for twice that."""
    longer = [axis for axis, (a, b) in enumerate(zip(few, more, strict=True)) if a != b]
    if len(longer) > 1 or any(2 * few[axis] != more[axis] for axis in longer):
        raise ValueError(
            f"An array of the state must have one axis as long as the batch, or none, got shape "
            f"{few}, and {more} for twice the batch. Over devices such a rule cannot learn."
        )
    return longer[0] if longer else None


class Placement(NamedTuple):
    """Bytes of a state in all and on the fullest device, and of arrays that lie whole on each."""

    whole: int
    device: int
    copied: dict[str, int]

    def __str__(self) -> str:
        """A line, and one for each array that lies whole on every device."""
        head = f"{self.whole} bytes of state, {self.device} on a device"
        copied = (
            f"  {name}: {size} bytes, whole on every device" for name, size in self.copied.items()
        )
        return "\n".join([head, *copied])


def placement(state: PyTree) -> Placement:
    """Where the arrays of a state lie: `print(placement(state))`."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    whole = device = 0
    copied = {}
    for path, leaf in leaves:
        one = leaf.dtype.itemsize
        part = one * int(np.prod(leaf.sharding.shard_shape(leaf.shape)))
        whole, device = whole + one * leaf.size, device + part
        if leaf.ndim and leaf.sharding.is_fully_replicated:
            copied[jax.tree_util.keystr(path, simple=True, separator=".")] = part
    return Placement(whole, device, copied)
