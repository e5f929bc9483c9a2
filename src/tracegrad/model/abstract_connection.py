"""The contract of a connection: from lines to neurons, with weights that are drawn later."""

from abc import abstractmethod
from dataclasses import replace
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.linear_map import Weights

C = TypeVar("C", bound="AbstractConnection")


class AbstractConnection(eqx.Module):
    """A connection of `inputs` lines to `outputs` neurons with one set of weights for each port."""

    inputs: eqx.AbstractVar[int]
    outputs: eqx.AbstractVar[int]
    biased: eqx.AbstractVar[bool]
    gain: eqx.AbstractVar[float]
    ports: eqx.AbstractVar[int]

    @abstractmethod
    def with_ports(self: C, ports: int) -> C:
        """The connection for neurons of `ports` currents."""

    @abstractmethod
    def init(self: C, key: PRNGKeyArray) -> C:
        """The connection with weights drawn, if it has none yet."""

    @abstractmethod
    def maps(self) -> tuple[Weights, ...]:
        """The weights of each port as they act on the lines."""

    @abstractmethod
    def biases(self) -> tuple[Float[Array, " n"], ...]:
        """The bias of every neuron, of each port; without one, nothing."""


def by_port(array: Array, axes: int) -> tuple[Array, ...]:
    """One array of `axes` axes for each port; with a single port there is no leading axis."""
    return (array,) if array.ndim == axes else tuple(array[k] for k in range(len(array)))


def drawn(weight: Array | None) -> Array:
    """The weights, which must be there."""
    if weight is None:
        raise ValueError("The network has no weights yet: call network.init(key) first.")
    return weight


def lead(ports: int) -> tuple[int, ...]:
    """The leading axis of parameters of several ports."""
    return () if ports == 1 else (ports,)


def given(
    found: tuple[Array | None, Array | None],
    shape: tuple[int, ...],
    units: int,
    ports: int,
    biased: bool,
) -> None:
    """Refuse weights and a bias that were given in other shapes than the connection's."""
    weight, bias = found
    if bias is not None and not biased:
        raise ValueError("A bias was given to a connection without one. Say biased=True.")
    expected = ((weight, "weight", (*lead(ports), *shape)), (bias, "bias", (*lead(ports), units)))
    for array, name, right in expected:
        if array is not None and array.shape != right:
            raise ValueError(f"{name} must have shape {right}, got {array.shape}.")


def ported(connection: C, ports: int) -> C:
    """The connection for neurons of `ports` currents, which has no weights yet."""
    if ports == connection.ports:
        return connection
    if jax.tree.leaves(connection):
        raise ValueError(
            f"The weights must have a leading axis of {ports} ports. Leave them out, and "
            "network.init draws them."
        )
    return replace(connection, ports=ports)


def zeros(ports: int, size: int) -> Float[Array, "*ports n"]:
    """Biases at first."""
    return jnp.zeros((*lead(ports), size), dtype=float)
