"""Weights: stored as whole numbers, changed by rounding, accumulating or chance."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from tracegrad.model.parameter import setting
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.rounding import Stochastic
from tracegrad.substrate.scale import AbstractScale, PerMatrix
from tracegrad.substrate.update import AbstractUpdate, Direct


class Stored(NamedTuple):
    """Of each array of weights by name: its least significant bit and what its updates keep.

    `draws` is the generator of the update, `gate` that of the chance to be updated at all.
    """

    lsb: dict[str, Array]
    kept: dict[str, Any]
    draws: Any
    gate: Any


class Weights(eqx.Module):
    r"""A memory of weights: $w=k\cdot\mathrm{lsb}$ with whole $k$ of `format.bits` bits.

    `format.fraction` counts for the scale `Point()` only. A wished change below `threshold` least
    significant bits is dropped (error-triggered learning); of the others each is made with chance
    `chance`, and larger by its inverse, so that the mean is right. Example:
    `Weights(Fixed(8), PerMatrix(), Direct(Stochastic()))`.
    """

    format: Fixed = setting(Fixed(8))
    scale: AbstractScale = setting(PerMatrix())
    update: AbstractUpdate = setting(Direct())
    threshold: float = setting(0.0)
    chance: float = setting(1.0)

    def __check_init__(self):
        """Refuse a chance that is none, and a negative threshold."""
        if not 0 < self.chance <= 1 or not self.threshold >= 0:
            raise ValueError(
                f"chance must be above 0 and at most 1 and threshold not negative, got "
                f"chance={self.chance} and threshold={self.threshold}."
            )

    def store(self, tree: PyTree, key: PRNGKeyArray) -> tuple[PyTree, Stored]:
        """Every weight rounded to the nearest that can be stored, and the state of the memory."""
        named = {name: leaf for name, leaf in by_name(tree) if is_weight(name)}
        lsb = {name: self.scale(leaf, self.format) for name, leaf in named.items()}

        def stored(name: str, leaf: Array) -> Array:
            if name not in lsb:
                return leaf
            return self.format.fit(jnp.round(leaf / lsb[name])) * lsb[name]

        kept = {name: self.update.begin(leaf) for name, leaf in named.items()}
        draws, gate = jax.random.split(key)
        state = Stored(lsb, kept, self.update.start(draws), Stochastic().start(gate))
        return map_by_name(stored, tree), state

    def change(self, tree: PyTree, changes: PyTree, state: Stored) -> tuple[PyTree, Stored]:
        """The tree after the wished changes; what is no weight changes as wished."""
        wished = dict(by_name(changes))
        after, kept = {}, dict(state.kept)
        draws, gate = state.draws, state.gate
        for name, leaf in by_name(tree):
            if name not in state.lsb:
                after[name] = leaf + wished[name]
                continue
            lsb = state.lsb[name]
            bits, gate = self._gated(wished[name] / lsb, gate)
            whole, kept[name], draws = self.update(bits, kept[name], draws)
            after[name] = self.format.fit(jnp.round(leaf / lsb) + whole) * lsb
        tree = map_by_name(lambda name, _: after[name], tree)
        return tree, Stored(state.lsb, kept, draws, gate)

    def _gated(self, bits: Array, gate: Any) -> tuple[Array, Any]:
        """Changes that are large enough and whose turn it is."""
        if self.threshold:
            bits = jnp.where(jnp.abs(bits) < self.threshold, 0.0, bits)
        if self.chance < 1:
            taken, gate = Stochastic()(jnp.full(bits.shape, self.chance, bits.dtype), gate)
            bits = bits * taken / self.chance
        return bits, gate


def is_weight(name: str) -> bool:
    """Whether a parameter is a weight, a bias or a feedback weight, and none of a neuron."""
    return ".neuron." not in name


def by_name(tree: PyTree) -> list[tuple[str, Array]]:
    """Every array with its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), a) for path, a in leaves]


def map_by_name(function: Any, tree: PyTree) -> PyTree:
    """The tree with every array replaced by `function(name, array)`."""
    changed = [function(name, leaf) for name, leaf in by_name(tree)]
    return jax.tree.unflatten(jax.tree.structure(tree), changed)
