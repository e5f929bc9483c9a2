"""Target: direct random target projection, a signal made of the target alone."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PRNGKeyArray

from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals
from tracegrad.model.network import Circuit, Network


class Target(AbstractSignal):
    r"""Direct random target projection, $L^l=w^tB^l y^*/\mathrm{batch}$: no error is fed back.

    $y^*$ is one-hot for classes, the values themselves otherwise; $w^t$ is the step's loss weight,
    so that steps without a label teach nothing. It stands in the place of $\partial L/\partial z$:
    for classes the error $y-y^*$ has the sign of $-y^*$ in every output, and the sign of a random
    $B$ is free. Uniform $B^l_{jk}\in\pm\sqrt{6/n_l}$, as the source draws it. The readout learns
    from its own error. O(batch n o) a step. Source: Frenkel, Lefebvre & Bol 2021 and its code.
    """

    adapts: ClassVar[bool] = False

    def check(self, network: Network) -> None:
        """Serves every network."""

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """Draw the projections."""
        outputs = network.readout.input.outputs
        sizes = [layer.input.outputs for layer in network.layers]

        def draw(key: PRNGKeyArray, n: int) -> Array:
            bound = (6.0 / n) ** 0.5
            return jax.random.uniform(key, (n, outputs), float, minval=-bound, maxval=bound)

        return tuple(map(draw, jax.random.split(key, len(sizes)), sizes))

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """See the class."""
        target = _as_values(heard.target, heard.error)
        share = heard.weight[:, None] / heard.weight.shape[0]
        return tuple((share * target) @ matrix.T for matrix in feedback), memory


def _as_values(
    target: Num[Array, "batch *o"], like: Float[Array, "batch o"]
) -> Float[Array, "batch o"]:
    """Classes as one-hot vectors, values as they are."""
    if jnp.issubdtype(target.dtype, jnp.integer):
        return jax.nn.one_hot(target, like.shape[-1], dtype=like.dtype)
    return target
