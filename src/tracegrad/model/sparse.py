"""Sparse: a connection in which every neuron has synapses on some of the lines only."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tracegrad.model.abstract_connection import (
    AbstractConnection,
    Bias,
    bias_field,
    by_port,
    drawn,
    given,
    initial,
    lead,
    ported,
)
from tracegrad.model.linear_map import FanIn, Places
from tracegrad.model.parameter import setting


class Sparse(AbstractConnection):
    r"""Synapses at fixed `places`: $I_j=b_j+\sum_{i\in\mathrm{places}_j}W_{ji}x_i$.

    Made by `fixed_fan_in`, `random` or `from_mask`. Weights are held as lists, `weight` (n, k) for
    the largest fan-in k, and so are their traces; a place numbered `inputs` is no line, and its
    weight stays zero. $W_{ji}\sim\mathcal N(0,\ \mathrm{gain}^2/k_j)$ with $k_j$ the neuron's own
    fan-in.
    Example: `Sparse.fixed_fan_in(700, 128, 50)`.
    """

    inputs: int = eqx.field(static=True)
    places: Places = eqx.field(static=True)
    gain: float = setting(1.0)
    bias: Bias = bias_field()
    ports: int = setting(1)
    weight: Float[Array, "*ports n k"] | None = None

    def __check_init__(self):
        """Refuse weights of another shape than the places."""
        given(self.weight, self.bias, self.places.index.shape, self.ports)

    @property
    def biased(self) -> bool:  # type: ignore[override]  # read off the bias
        """Whether every neuron has a bias."""
        return self.bias is not None

    @staticmethod
    def fixed_fan_in(
        inputs: int, outputs: int, fan_in: int, seed: int = 0, gain: float = 1.0, bias: bool = False
    ) -> "Sparse":
        """Every neuron on `fan_in` different lines, drawn from `seed`."""
        if not 1 <= fan_in <= inputs or outputs < 1:
            raise ValueError(
                f"A neuron can have 1 to {inputs} synapses on {inputs} lines, and there must be a "
                f"neuron, got fan_in={fan_in} and {outputs} outputs."
            )
        rng = np.random.default_rng(seed)
        rows = [np.sort(rng.choice(inputs, fan_in, replace=False)) for _ in range(outputs)]
        # The type checker takes the abstract sizes of a map for fields; equinox does not.
        return Sparse(inputs, Places(np.stack(rows)), gain, bias)  # pyright: ignore[reportCallIssue]

    @staticmethod
    def random(
        inputs: int,
        outputs: int,
        probability: float,
        seed: int = 0,
        gain: float = 1.0,
        bias: bool = False,
    ) -> "Sparse":
        """Every synapse is there with `probability`, drawn from `seed`."""
        if not 0.0 < probability <= 1.0:
            raise ValueError(f"probability must lie in (0, 1], got {probability}.")
        mask = np.random.default_rng(seed).random((outputs, inputs)) < probability
        return Sparse.from_mask(mask, gain, bias)

    @staticmethod
    def from_mask(mask: Bool[np.ndarray, "n m"], gain: float = 1.0, bias: bool = False) -> "Sparse":
        """Synapses where `mask` is true; the row index is postsynaptic."""
        if not mask.any():
            raise ValueError(
                f"The mask of shape {mask.shape} leaves no synapse. Set some of it true, or raise "
                "the probability."
            )
        outputs, inputs = mask.shape
        lists = np.full((outputs, int(mask.sum(1).max())), inputs)
        for row, here in zip(lists, mask, strict=True):
            found = np.flatnonzero(here)
            row[: len(found)] = found
        return Sparse(inputs, Places(lists), gain, bias)  # pyright: ignore[reportCallIssue]

    @property
    def outputs(self) -> int:  # type: ignore[override]  # follows from the places
        """Number of neurons."""
        return self.places.index.shape[0]

    def with_ports(self, ports: int) -> "Sparse":
        """The same places with weights for each current."""
        return ported(self, ports)

    def maps(self) -> tuple[FanIn, ...]:
        """See `AbstractConnection`."""
        return tuple(
            FanIn(w, self.places, self.inputs)  # pyright: ignore[reportCallIssue]
            for w in by_port(drawn(self.weight), 2)
        )

    def biases(self) -> tuple[Float[Array, " n"], ...]:
        """See `AbstractConnection`."""
        return () if self.bias is None else by_port(drawn(self.bias), 1)

    def init(self, key: PRNGKeyArray) -> "Sparse":
        """The connection with weights drawn, if it has none yet."""
        return replace(
            self,
            weight=self._drawn(key) if self.weight is None else self.weight,
            bias=initial(self.bias, self.ports, self.outputs),
        )

    def _drawn(self, key: PRNGKeyArray) -> Float[Array, "*ports n k"]:
        index = self.places.index
        there = index < self.inputs
        scale = self.gain * there / np.maximum(there.sum(1, keepdims=True), 1) ** 0.5
        shape = (*lead(self.ports), *index.shape)
        each = jnp.broadcast_to(jnp.asarray(scale, float), shape)
        return each * jax.random.normal(key, shape, dtype=float)
