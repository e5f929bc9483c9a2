"""Latency: first spikes, and the loss that wants the right neuron to be first."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.learn.eventprop.event_network import EventNetwork
from tracegrad.learn.eventprop.simulate import Record


def first_spikes(record: Record, network: EventNetwork, silent: float) -> Float[Array, " n"]:
    """Time of every neuron's first spike, `silent` (seconds, no gradient) where there is none."""
    neurons = jnp.arange(network.size, dtype=record.spikes.sources.dtype)
    own = record.spikes.sources[None] == neurons[:, None]
    return jnp.min(jnp.where(own, record.spikes.times[None], silent), axis=1)


def latency_cross_entropy(
    first: Float[Array, " o"], label: Int[Array, ""], tau: float
) -> Float[Array, ""]:
    r"""$-\log\mathrm{softmax}(-t/\tau)_{label}$ of first spikes $t$; `tau` in seconds.

    Source: Wunderlich & Pehle 2021, without their regularisation of late spikes.
    """
    return -jax.nn.log_softmax(-first / tau)[label]
