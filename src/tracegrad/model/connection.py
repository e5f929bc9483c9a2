"""Dense: an all-to-all connection with a weight matrix, row index postsynaptic."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.parameter import setting


class Dense(eqx.Module):
    r"""All-to-all connection $I = W x + b$.

    $W_{ij}\sim\mathcal N(0,\ \mathrm{gain}^2/m)$ and $b=0$ are drawn by `Network.init`.
    Shapes: `weight` (n, m), `bias` (n,). Example: `Dense(64, 128, gain=2.0)`.
    """

    weight: Float[Array, "n m"] | None
    bias: Float[Array, " n"] | None
    inputs: int = setting(0)
    outputs: int = setting(0)
    gain: float = setting(1.0)
    biased: bool = setting(False)

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0, bias: bool = False):
        """Describe a connection from `inputs` lines to `outputs` neurons; weights come later."""
        if inputs < 1 or outputs < 1:
            raise ValueError(
                f"A connection needs at least one line on each side, got {inputs} "
                f"inputs and {outputs} outputs."
            )
        self.inputs, self.outputs, self.gain, self.biased = inputs, outputs, gain, bias
        self.weight, self.bias = None, None

    @staticmethod
    def from_arrays(weight: Float[Array, "n m"], bias: Float[Array, " n"] | None = None) -> "Dense":
        """A connection with given weights, which `Network.init` leaves as they are."""
        if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
            raise ValueError(
                f"weight must have shape (n, m) and bias (n,), got {weight.shape} and "
                f"{None if bias is None else bias.shape}. The row index is postsynaptic."
            )
        blank = Dense(weight.shape[1], weight.shape[0], bias=bias is not None)
        return eqx.tree_at(
            lambda d: (d.weight, d.bias), blank, (weight, bias), is_leaf=lambda x: x is None
        )

    def init(self, key: PRNGKeyArray) -> "Dense":
        """The connection with weights drawn, if it has none yet."""
        if self.weight is not None:
            return self
        scale = self.gain / self.inputs**0.5
        weight = scale * jax.random.normal(key, (self.outputs, self.inputs), dtype=float)
        bias = jnp.zeros(self.outputs, dtype=float) if self.biased else None
        return eqx.tree_at(
            lambda d: (d.weight, d.bias), self, (weight, bias), is_leaf=lambda x: x is None
        )
