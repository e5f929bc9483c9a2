"""The contract of a connection: from lines to neurons, with weights that are drawn later."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.linear_map import Weights

C = TypeVar("C", bound="AbstractConnection")
Bias = Float[Array, "*ports units"] | bool | None


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


def bias_field() -> Any:
    """Field of a bias: False for none, True for one that `init` sets to zero, or the array."""
    return eqx.field(default=None, converter=lambda bias: None if bias is False else bias)


def by_port(array: Array, axes: int) -> tuple[Array, ...]:
    """One array of `axes` axes for each port; with a single port there is no leading axis."""
    return (array,) if array.ndim == axes else tuple(array[k] for k in range(len(array)))


def drawn(array: Bias | Array) -> Array:
    """The weights or the bias, which must be there."""
    if array is None or isinstance(array, bool):
        raise ValueError("The network has no weights yet: call network.init(key) first.")
    return array


def lead(ports: int) -> tuple[int, ...]:
    """The leading axis of parameters of several ports."""
    return () if ports == 1 else (ports,)


def given(weight: Array | None, bias: Bias, shape: tuple[int, ...], ports: int) -> None:
    """Refuse weights, and a bias with one number for each row, in other shapes than these."""
    expected = (
        (weight, "weight", (*lead(ports), *shape)),
        (bias, "bias", (*lead(ports), shape[0])),
    )
    for array, name, right in expected:
        if array is not None and not isinstance(array, bool) and array.shape != right:
            raise ValueError(f"{name} must have shape {right}, got {array.shape}.")


def ported(connection: C, ports: int) -> C:
    """The connection for neurons of `ports` currents, which has no weights yet."""
    if ports == connection.ports:
        return connection
    if jax.tree.leaves(eqx.filter(connection, eqx.is_array)):
        raise ValueError(
            f"The weights must have a leading axis of {ports} ports. Leave them out, and "
            "network.init draws them."
        )
    return replace(connection, ports=ports)


def initial(bias: Bias, ports: int, size: int) -> Float[Array, "*ports units"] | None:
    """The bias that was given, or zeros where one was asked for."""
    return jnp.zeros((*lead(ports), size), dtype=float) if isinstance(bias, bool) else bias
