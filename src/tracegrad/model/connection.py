"""Dense: an all-to-all connection with a weight matrix, row index postsynaptic."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.abstract_connection import AbstractConnection, by_port, drawn
from tracegrad.model.parameter import setting


class Dense(AbstractConnection):
    r"""All-to-all connection $I = W x + b$.

    $W_{ij}\sim\mathcal N(0,\ \mathrm{gain}^2/m)$ and $b=0$ are drawn by `Network.init`.
    Shapes: `weight` (n, m), `bias` (n,); for neurons of several ports with the port as first axis.
    Example: `Dense(64, 128, gain=2.0)`.
    """

    weight: Float[Array, "*ports n m"] | None
    bias: Float[Array, "*ports n"] | None
    inputs: int = setting(0)
    outputs: int = setting(0)
    gain: float = setting(1.0)
    biased: bool = setting(False)
    ports: int = setting(1)

    def __init__(
        self, inputs: int, outputs: int, gain: float = 1.0, bias: bool = False, ports: int = 1
    ):
        """Describe a connection from `inputs` lines to `outputs` neurons; weights come later."""
        if inputs < 1 or outputs < 1:
            raise ValueError(
                f"A connection needs at least one line on each side, got {inputs} "
                f"inputs and {outputs} outputs."
            )
        self.inputs, self.outputs, self.gain, self.biased = inputs, outputs, gain, bias
        self.weight, self.bias, self.ports = None, None, ports

    @staticmethod
    def from_arrays(
        weight: Float[Array, "*ports n m"], bias: Float[Array, "*ports n"] | None = None
    ) -> "Dense":
        """A connection with given weights, which `Network.init` leaves as they are."""
        if weight.ndim not in (2, 3) or (bias is not None and bias.shape != weight.shape[:-1]):
            raise ValueError(
                f"weight must have shape (n, m) and bias (n,), got {weight.shape} and "
                f"{None if bias is None else bias.shape}. The row index is postsynaptic; a port "
                "of the neuron is a leading axis."
            )
        ports = weight.shape[0] if weight.ndim == 3 else 1
        blank = Dense(weight.shape[-1], weight.shape[-2], bias=bias is not None, ports=ports)
        return eqx.tree_at(
            lambda d: (d.weight, d.bias), blank, (weight, bias), is_leaf=lambda x: x is None
        )

    def with_ports(self, ports: int) -> "Dense":
        """The connection for neurons of `ports` currents; given weights must already fit."""
        if self.ports == ports:
            return self
        if self.weight is not None:
            raise ValueError(
                f"The weights must have a leading axis of {ports} ports, got shape "
                f"{self.weight.shape}. One matrix for each current of the neuron."
            )
        return Dense(self.inputs, self.outputs, self.gain, self.biased, ports)

    def init(self, key: PRNGKeyArray) -> "Dense":
        """The connection with weights drawn, if it has none yet."""
        if self.weight is not None:
            return self
        lead = () if self.ports == 1 else (self.ports,)
        scale = self.gain / self.inputs**0.5
        weight = scale * jax.random.normal(key, (*lead, self.outputs, self.inputs), dtype=float)
        bias = jnp.zeros((*lead, self.outputs), dtype=float) if self.biased else None
        return eqx.tree_at(
            lambda d: (d.weight, d.bias), self, (weight, bias), is_leaf=lambda x: x is None
        )

    def maps(self) -> tuple[Float[Array, "n m"], ...]:
        """See `AbstractConnection`."""
        return by_port(drawn(self.weight), 2)

    def biases(self) -> tuple[Float[Array, " n"], ...]:
        """See `AbstractConnection`."""
        return () if self.bias is None else by_port(self.bias, 1)
