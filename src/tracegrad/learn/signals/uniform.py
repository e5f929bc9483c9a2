"""Uniform: every hidden neuron hears the same, the sum of all errors."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tracegrad.learn.loss import Loss, cross_entropy
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals
from tracegrad.model.network import Circuit, Network


class Uniform(AbstractSignal):
    r"""Broadcast with equal weights, $L_j=\sum_k\delta_k$ for every neuron of every layer.

    One number a step for the whole network; the errors of a cross-entropy sum to zero, so that loss
    is refused. O(batch o) a step. Source: Zenke & Ganguli 2018 (uniform feedback).
    """

    adapts: ClassVar[bool] = False

    def check(self, network: Network) -> None:
        """Serves every network."""

    def check_loss(self, loss: Loss) -> None:
        """Refuse a loss whose errors always sum to zero."""
        if loss.at_step is cross_entropy().at_step:
            raise ValueError(
                "Uniform feedback is the sum of all errors, which is zero for cross_entropy. Use "
                "mean_squared_error or van_rossum, or random feedback."
            )

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """None: all weights are 1."""
        return ()

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """See the class."""
        total = jnp.sum(heard.error, axis=-1, keepdims=True)
        shape = total.shape[:-1]
        signals = (jnp.broadcast_to(total, (*shape, stage.size)) for stage in circuit.hidden)
        return tuple(signals), memory
