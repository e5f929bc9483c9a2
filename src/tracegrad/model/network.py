"""Network: a stack of layers and a readout, and the circuit it becomes for one time step."""

from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree, Shaped

from tracegrad.model.abstract_connection import AbstractConnection
from tracegrad.model.layer import Layer, Readout
from tracegrad.model.neuron import check_neuron
from tracegrad.model.over_time import over_time
from tracegrad.model.parameter import number, setting
from tracegrad.model.stage import Ports, Stage, StageState

State = tuple[StageState, ...]
T = TypeVar("T")


def hold(valid: Bool[Array, " batch"] | None, new: T, old: T) -> T:
    """Keep `old` for samples whose step is padding; arrays have the batch as first axis."""
    if valid is None:
        return new

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(valid.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, new, old)


class Moment(NamedTuple):
    """One time step as seen by a rule: for each stage what came in, the current, and the states."""

    incoming: tuple[Float[Array, "batch _"], ...]
    current: tuple[Ports, ...]
    before: State
    after: State


class Circuit(eqx.Module):
    """A network made ready for one time step: its stages, the last of which is the readout."""

    stages: tuple[Stage, ...]
    all_layers: bool = setting(False)

    @property
    def hidden(self) -> tuple[Stage, ...]:
        """All stages but the readout."""
        return self.stages[:-1]

    @property
    def mapped(self) -> bool:
        """Whether some stage's weights from below are a map and no matrix."""
        return any(stage.mapped for stage in self.stages)

    def as_matrices(self) -> "Circuit":
        """The same circuit with matrices only; see `Stage`."""
        return Circuit(tuple(stage.as_matrices() for stage in self.stages), self.all_layers)

    def as_fan_in(self) -> "Circuit":
        """The same circuit with a weight for each synapse; see `Stage`."""
        return Circuit(tuple(stage.as_fan_in() for stage in self.stages), self.all_layers)

    def detach_reset(self) -> "Circuit":
        """The same circuit, without the derivative of any reset."""
        return Circuit(tuple(stage.detach_reset() for stage in self.stages), self.all_layers)

    def rest(self, batch: int) -> State:
        """All stages at rest."""
        return tuple(stage.rest(batch) for stage in self.stages)

    def read(self, outputs: list[Float[Array, "*t _"]]) -> Float[Array, "*t m"]:
        """What the readout sees of the layers' outputs."""
        return jnp.concatenate(outputs, axis=-1) if self.all_layers else outputs[-1]

    def split(self, readout: Float[Array, "*t m"]) -> list[Float[Array, "*t _"] | None]:
        """The parts of a vector over the readout's inputs that belong to each layer."""
        if not self.all_layers:
            return [None] * (len(self.stages) - 2) + [readout]
        ends = [sum(s.size for s in self.hidden[: i + 1]) for i in range(len(self.hidden) - 1)]
        return list(jnp.split(readout, ends, axis=-1))

    def step(
        self,
        before: State,
        x: Float[Array, "batch m"],
        first: Ports,
        added: tuple[Ports, ...] | None = None,
    ) -> Moment:
        """One step of the whole stack.

        `first` holds the first layer's feed-forward currents; they do not depend on the state, so
        callers compute them for many steps as one product. `added` are currents put on top, for
        each stage by port.
        """
        incoming, currents, after = [x], [], []
        for index, (stage, state) in enumerate(zip(self.stages, before, strict=True)):
            if index == len(self.stages) - 1:
                incoming[index] = self.read([a.z for a in after])
            feedforward = stage.feedforward(incoming[index]) if index else first
            current = stage.current(feedforward, state.z)
            if added is not None:
                current = {port: c + added[index].get(port, 0.0) for port, c in current.items()}
            currents.append(current)
            after.append(stage.cell(stage.coefficients, state, currents[-1]))
            incoming.append(after[-1].z)
        return Moment(tuple(incoming[:-1]), tuple(currents), before, tuple(after))


def real_type(xs: Shaped[ArrayLike, "*shape"]) -> Any:
    """The type in which input is computed with: its own if it is real, else JAX's for reals."""
    kind = jnp.result_type(xs)
    return kind if jnp.issubdtype(kind, jnp.floating) else float


def real(xs: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """Input as real numbers: counts and booleans mean the same."""
    return jnp.asarray(xs, real_type(xs))


class Network(eqx.Module):
    """Layers of neurons and a readout, simulated with a step of `dt` seconds.

    Weights are drawn by `init`; neuron parameters are those given. Example:

    ```python
    net = tg.Network(
        tg.Layer(tg.Dense(64, 128), tg.LIF(), recurrent=tg.Dense(128, 128)),
        readout=tg.Readout(128, 10, tau=20e-3),
        dt=1e-3,
    ).init(jax.random.key(0))
    outputs, state = net(xs)  # xs (time, batch, 64), outputs (time, batch, 10)
    ```
    """

    layers: tuple[Layer, ...]
    readout: Readout
    dt: float = setting(1e-3)
    frozen: tuple[str, ...] = setting(())

    def __init__(self, *layers: Layer, readout: Readout, dt: float, frozen: tuple[str, ...] = ()):
        """Stack `layers` under a `readout`; refuses sizes that do not fit and broken neurons."""
        if not layers:
            raise ValueError("A network needs at least one layer.")
        dt = number("dt", dt)
        if not dt > 0:
            raise ValueError(f"dt must be a positive number of seconds, got {dt}.")
        for below, above in zip(layers[:-1], layers[1:], strict=True):
            if below.input.outputs != above.input.inputs:
                raise ValueError(
                    f"A layer of {below.input.outputs} neurons feeds one that expects "
                    f"{above.input.inputs} inputs. Make the two equal."
                )
        sizes = [layer.input.outputs for layer in layers]
        read = sum(sizes) if readout.all_layers else sizes[-1]
        if readout.input.inputs != read:
            raise ValueError(
                f"The readout must read {read} neurons, got {readout.input.inputs} inputs."
            )
        for layer in layers:
            check_neuron(layer.neuron, dt)
        self.layers, self.readout, self.dt, self.frozen = layers, readout, dt, frozen

    def freeze(self, *patterns: str) -> "Network":
        """The network with every parameter frozen whose name matches one of `patterns`.

        Names are paths such as `layers.0.input.weight` or `layers.0.neuron.tau_mem`, patterns those
        of `fnmatch`: `freeze("*.neuron.*")` freezes all time constants and thresholds. Without it
        every parameter learns. A pattern that matches nothing is refused.
        """
        known = jax.tree.leaves(self.init(jax.random.key(0)).names())
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise ValueError(
                    f"The pattern {pattern!r} matches no parameter. There are {', '.join(known)}."
                )
        frozen = (*self.frozen, *patterns)
        return Network(*self.layers, readout=self.readout, dt=self.dt, frozen=frozen)

    def names(self) -> PyTree[str]:
        """The name of every parameter, in the structure of the network."""

        def name(path: tuple, leaf: object) -> str:
            return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".log")

        return jax.tree_util.tree_map_with_path(name, self)

    def learning(self) -> PyTree[bool]:
        """Which parameters learn: all that are not frozen."""

        def learns(name: str) -> bool:
            return not any(fnmatchcase(name, pattern) for pattern in self.frozen)

        return jax.tree.map(learns, self.names())

    def init(self, key: PRNGKeyArray) -> "Network":
        """The network with every missing weight drawn from `key`."""

        def is_connection(node: object) -> bool:
            return isinstance(node, AbstractConnection)

        connections = [c for c in jax.tree.leaves(self, is_leaf=is_connection) if is_connection(c)]
        keys = iter(jax.random.split(key, len(connections)))
        return jax.tree.map(
            lambda node: node.init(next(keys)) if is_connection(node) else node,
            self,
            is_leaf=is_connection,
        )

    def discretise(self) -> Circuit:
        """Effective weights and coefficients for one step of `dt`."""
        stages = (
            *(layer.discretise(self.dt) for layer in self.layers),
            self.readout.discretise(self.dt),
        )
        return Circuit(stages, self.readout.all_layers)

    def __call__(
        self,
        xs: Shaped[Array, "time batch m"],
        state: State | None = None,
        valid: Bool[Array, "time batch"] | None = None,
    ) -> tuple[tuple[Float[Array, "time batch _"], ...], State]:
        """Outputs of every stage (the readout's last) over time, and the final state."""
        circuit, xs = self.discretise(), real(xs)
        state = circuit.rest(xs.shape[1]) if state is None else state

        def body(state: State, now: tuple) -> tuple[State, tuple]:
            x, first, valid = now
            after = hold(valid, circuit.step(state, x, first).after, state)
            return after, tuple(stage.z for stage in after)

        first = circuit.stages[0].feedforward(xs)
        state, outputs = over_time(body, state, (xs, first, valid))
        return outputs, state
