"""Mismatch: devices that are not alike, noise, what is dead, and what drifts."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, Shaped

from tracegrad.model.network import Network, real
from tracegrad.model.neuron import AbstractNeuron
from tracegrad.model.parameter import Positive, setting
from tracegrad.substrate.weights import by_name, is_weight, map_by_name


class Device(NamedTuple):
    """One device: the deviations it was made with, and the time that has passed on it.

    `logs` are the logarithms of factors on time constants and thresholds, by name, (n,); `factors`
    those on weights, by name, zero where a synapse is dead; `alive` of every stage.
    """

    logs: dict[str, Array]
    factors: dict[str, Array]
    alive: tuple[Float[Array, " _"], ...]
    key: Key[Array, ""]
    steps: Int[Array, ""]


class Mismatch(eqx.Module):
    r"""Deviations of a device, $\tau_j\leftarrow\tau_je^{\sigma\xi_j}$, $\xi\sim\mathcal N(0,1)$.

    The median of a quantity is its nominal value. `time_constants`, `thresholds` and `gains` (of
    all currents of a neuron) are the $\sigma$ of neurons, `weights` that of synapses.
    `dead_neurons` and `dead_synapses` are shares. `read_noise` is the standard deviation of a
    weight each time it is read, relative to itself, `drift` that of the logarithm of every time
    constant and threshold after a second (a random walk in time: after t seconds it is
    $\sqrt t$ times that). A block of steps between two updates is read once.

    `lost_spikes` is the share of input spikes that never arrive, `jitter` the standard deviation of
    their arrival in steps; see `disturb`. If `known`, the rule's derivatives use the true time
    constants and thresholds, otherwise the nominal ones; values always come from the true ones.
    Feedback weights have none of this. `seed` names the device.
    """

    time_constants: float = setting(0.0)
    thresholds: float = setting(0.0)
    gains: float = setting(0.0)
    weights: float = setting(0.0)
    dead_neurons: float = setting(0.0)
    dead_synapses: float = setting(0.0)
    read_noise: float = setting(0.0)
    drift: float = setting(0.0)
    lost_spikes: float = setting(0.0)
    jitter: float = setting(0.0)
    known: bool = setting(False)
    seed: int = setting(0)

    def __check_init__(self):
        """Refuse negative deviations and shares above one."""
        for name, value in vars(self).items():
            if name in ("known", "seed"):
                continue
            most = 1.0 if name in ("dead_neurons", "dead_synapses", "lost_spikes") else float("inf")
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be from 0 to {most}, got {value}.")

    @property
    def neurons(self) -> bool:
        """Whether neurons deviate."""
        return bool(self.time_constants or self.thresholds or self.drift or self.dead_neurons)

    def draw(self, network: Network) -> Device:
        """The device that `seed` names, for this network."""
        logs, factors, alive, draws = {}, {}, [], jax.random.key(self.seed)
        for stage, part in enumerate((*network.layers, network.readout)):
            key = jax.random.fold_in(draws, stage)
            n, prefix = part.input.outputs, _prefix(network, stage)
            for index, name in enumerate(_positives(part.neuron)):
                sigma = self.thresholds if "threshold" in name else self.time_constants
                logs[prefix + name] = sigma * jax.random.normal(
                    jax.random.fold_in(key, index), (n,), dtype=float
                )
            gain = self.gains * jax.random.normal(jax.random.fold_in(key, 100), (n,), dtype=float)
            lives = jax.random.uniform(jax.random.fold_in(key, 101), (n,), dtype=float)
            hidden = stage < len(network.layers)
            alive.append((lives >= self.dead_neurons * hidden).astype(gain.dtype))
            for index, (name, leaf) in enumerate(_weights(network, prefix)):
                spread, dead = jax.random.split(jax.random.fold_in(key, 200 + index))
                made = jnp.exp(self.weights * jax.random.normal(spread, leaf.shape, dtype=float))
                rows = gain if name.endswith("bias") else gain[:, None]
                kept = jax.random.uniform(dead, leaf.shape, dtype=float) >= self.dead_synapses
                factors[name] = jnp.where(kept, jnp.exp(rows) * made, 0.0).astype(leaf.dtype)
        started = jnp.zeros((), jnp.int32)
        return Device(logs, factors, tuple(alive), jax.random.fold_in(draws, 1000), started)

    def read(self, network: Network, device: Device) -> Network:
        """The weights as they arrive: deviating, dead, and with the noise of this reading."""
        now = jax.random.fold_in(device.key, device.steps)
        places = {name: index for index, (name, _) in enumerate(by_name(network))}

        def arrived(name: str, leaf: Array) -> Array:
            if not is_weight(name):
                return leaf
            seen = leaf * device.factors[name]
            if not self.read_noise:
                return seen
            noise = jax.random.normal(jax.random.fold_in(now, places[name]), leaf.shape, leaf.dtype)
            return seen * (1.0 + self.read_noise * noise)

        return map_by_name(arrived, network)

    def true(self, network: Network, stage: int, device: Device) -> AbstractNeuron:
        """The neuron of a stage with the device's time constants and thresholds."""
        neuron = (*network.layers, network.readout)[stage].neuron
        prefix = _prefix(network, stage)
        names = iter(_positives(neuron))

        def deviating(node: Any) -> Any:
            if not isinstance(node, Positive):
                return node
            log = device.logs[prefix + next(names)].astype(node.log.dtype)
            return eqx.tree_at(lambda p: p.log, node, jnp.broadcast_to(node.log, log.shape) + log)

        return jax.tree.map(deviating, neuron, is_leaf=_is_positive)

    def age(self, device: Device, steps: int, dt: float) -> Device:
        """The device after some steps: the walk of its parameters goes on."""
        later = device._replace(steps=device.steps + steps)
        if not self.drift:
            return later
        size = self.drift * (steps * dt) ** 0.5
        now = jax.random.fold_in(jax.random.fold_in(device.key, 1), device.steps)
        walked = {
            name: log
            + size * jax.random.normal(jax.random.fold_in(now, index), log.shape, log.dtype)
            for index, (name, log) in enumerate(sorted(device.logs.items()))
        }
        return later._replace(logs=walked)

    def disturb(
        self, xs: Shaped[Array, "time batch m"], key: PRNGKeyArray
    ) -> Float[Array, "time batch m"]:
        """Input spikes lost, and moved by whole steps; those moved out of the block are lost.

        Counts are kept where several arrive at once.
        """
        xs = real(xs)
        lost, moved = jax.random.split(key)
        if self.lost_spikes:
            xs = jnp.where(jax.random.uniform(lost, xs.shape) < self.lost_spikes, 0.0, xs)
        if not self.jitter:
            return xs
        by = jnp.round(self.jitter * jax.random.normal(moved, xs.shape)).astype(jnp.int32)
        steps = jnp.arange(xs.shape[0], dtype=jnp.int32)[:, None, None] + by
        batch, line = jnp.arange(xs.shape[1])[None, :, None], jnp.arange(xs.shape[2])[None, None]
        steps = jnp.where(steps < 0, xs.shape[0], steps)  # beyond the end, and so dropped
        return jnp.zeros_like(xs).at[steps, batch, line].add(xs, mode="drop")


def _prefix(network: Network, stage: int) -> str:
    return f"layers.{stage}." if stage < len(network.layers) else "readout."


def _is_positive(node: object) -> bool:
    return isinstance(node, Positive)


def _positives(neuron: AbstractNeuron) -> list[str]:
    """Names of time constants and thresholds, in the order of the tree."""
    found = jax.tree_util.tree_leaves_with_path(neuron, is_leaf=_is_positive)
    return [
        "neuron." + jax.tree_util.keystr(path, simple=True, separator=".")
        for path, node in found
        if _is_positive(node)
    ]


def _weights(network: Network, prefix: str) -> list[tuple[str, Array]]:
    return [(n, a) for n, a in by_name(network) if n.startswith(prefix) and is_weight(n)]
