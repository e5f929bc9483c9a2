"""Patterns: which pairs of units, an affected one and one of origin, an influence is carried for.

A unit is a neuron of a layer or of the readout.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from tracegrad.model.network import Circuit, Network
from tracegrad.model.parameter import setting

Pairs = Bool[Array, "units units"]


class AbstractPattern(eqx.Module):
    """Which entries of the influence matrix are kept; a unit always keeps its own."""

    @abstractmethod
    def check(self, network: Network) -> None:
        """Refuse a network this pattern does not fit."""

    @property
    def by_stage(self) -> bool:
        """Whether it is known to be groups, none of which has units of two stages."""
        return False

    @abstractmethod
    def kept(self, circuit: Circuit) -> Pairs:
        """Affected unit by unit of origin, all stages one after another."""


class Labelled(AbstractPattern):
    """Groups by label: one tuple of labels for each stage, the readout last."""

    labels: tuple[tuple[int, ...], ...] = setting(())

    def check(self, network: Network) -> None:
        """Refuse labels that do not fit the units."""
        sizes = _sizes(network)
        if (given := tuple(map(len, self.labels))) != sizes:
            raise ValueError(
                f"block needs one label for each unit of every layer and of the readout, {sizes}, "
                f"got {given}. Give one sequence of labels a stage, or a group size."
            )

    @property
    def by_stage(self) -> bool:
        """No label is in two stages."""
        return sum(len(set(s)) for s in self.labels) == len(set().union(*self.labels))

    def kept(self, circuit: Circuit) -> Pairs:
        """Units of one label."""
        return _same(jnp.array([label for stage in self.labels for label in stage]))


class Consecutive(AbstractPattern):
    """Groups of `size` neurons in a row of one layer; readout units are each on their own."""

    size: int = setting(1)

    def check(self, network: Network) -> None:
        """Refuse a size without a neuron; the last group of a layer may be smaller."""
        if self.size < 1:
            raise ValueError(f"A block needs at least 1 neuron, got {self.size}. Use 1 for each.")

    @property
    def by_stage(self) -> bool:
        """By its definition."""
        return True

    def kept(self, circuit: Circuit) -> Pairs:
        """Neighbours in a layer."""
        groups = [
            jnp.arange(s.size) // (self.size if i < len(circuit.hidden) else 1)
            for i, s in enumerate(circuit.stages)
        ]
        return _same(jnp.concatenate(groups)) & _same(_stage_of(circuit))


class ByLayer(AbstractPattern):
    """One group a stage."""

    def check(self, network: Network) -> None:
        """Fits every network."""

    @property
    def by_stage(self) -> bool:
        """By its definition."""
        return True

    def kept(self, circuit: Circuit) -> Pairs:
        """Units of one stage."""
        return _same(_stage_of(circuit))


class Reachable(AbstractPattern):
    r"""Units that at most `order` - 1 connections lead to, $M_n=\bigvee_{k<n}A^k$.

    $A$ has the connections whose weight is not exactly zero at the start of a stream, recurrent and
    between layers, that to the readout included. A connection counts as one whether it takes a
    step or none.
    """

    order: int = setting(1)

    def check(self, network: Network) -> None:
        """Refuse an order that keeps nothing."""
        if self.order < 1:
            raise ValueError(
                f"The order of SnAp must be at least 1, got {self.order}. Use 1 for a neuron's own "
                "influence only."
            )

    def kept(self, circuit: Circuit) -> Pairs:
        """See the class; O(order N^3) once a stream, for N units."""
        present = connections(circuit)

        def further(_: object, reached: Pairs) -> Pairs:
            return reached | ((present.astype(float) @ reached.astype(float)) > 0)

        itself = jnp.eye(present.shape[0], dtype=bool)
        return jax.lax.fori_loop(0, min(self.order - 1, present.shape[0]), further, itself)


def connections(circuit: Circuit) -> Pairs:
    """Which unit feeds which, by any port: row postsynaptic, column presynaptic."""
    starts = [sum(s.size for s in circuit.stages[:i]) for i in range(len(circuit.stages))]
    total = starts[-1] + circuit.stages[-1].size
    present = jnp.zeros((total, total), bool)
    for index, stage in enumerate(circuit.stages):
        rows = slice(starts[index], starts[index] + stage.size)
        if stage.recurrent is not None:
            present = present.at[rows, rows].set(_any(stage.recurrent))
        if index:
            read_all = circuit.all_layers and index == len(circuit.hidden)
            first = 0 if read_all else starts[index - 1]
            present = present.at[rows, first : starts[index]].set(_any(stage.weight))
    return present


def _any(weights: dict[str, Array]) -> Array:
    return jnp.any(jnp.stack([weight != 0 for weight in weights.values()]), axis=0)


def _same(labels: Int[Array, " units"]) -> Pairs:
    return labels[:, None] == labels[None, :]


def _stage_of(circuit: Circuit) -> Int[Array, " units"]:
    return jnp.concatenate([jnp.full(s.size, i) for i, s in enumerate(circuit.stages)])


def _sizes(network: Network) -> tuple[int, ...]:
    hidden = (layer.input.outputs for layer in network.layers)
    return (*hidden, network.readout.input.outputs)
