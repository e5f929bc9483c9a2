"""Rate regulariser: pulls every neuron's mean output towards a target rate."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.model.adjustable import adjustable


class RateRegulariser(eqx.Module):
    r"""Penalty $\frac c2\sum_j(\bar f_j-f^*)^2$ on mean outputs $\bar f_j=\frac1T\sum_t z_j^t$.

    The mean runs over the steps between two updates that are not padding, for each sample; hidden
    layers only. `target` is in spikes per step (rate times `dt`).
    Source: Bellec et al. 2020, as used in the pattern generation of NEST.
    """

    strength: float = adjustable(
        0.0, "how hard every neuron's rate is pulled to the target", "loss per squared rate"
    )
    target: float = adjustable(0.01, "the rate to pull to", "spikes per step")

    def loss(
        self, count: Float[Array, "batch n"], steps: Float[Array, " batch"]
    ) -> Float[Array, ""]:
        """Penalty of a layer, mean over the batch, from its output summed over the window."""
        rate = count / jnp.maximum(steps, 1.0)[:, None]
        present = (steps > 0).astype(count.dtype)[:, None]
        penalty = present * (rate - self.target) ** 2
        return 0.5 * self.strength * jnp.sum(penalty) / count.shape[0]

    def error(
        self, count: Float[Array, "batch n"], steps: Float[Array, " batch"]
    ) -> Float[Array, "batch n"]:
        r"""$\partial/\partial z_j^t$ of the penalty: the same at every step of the window."""
        length = jnp.maximum(steps, 1.0)[:, None]
        present = (steps > 0).astype(count.dtype)[:, None]
        return present * self.strength * (count / length - self.target) / length / count.shape[0]
