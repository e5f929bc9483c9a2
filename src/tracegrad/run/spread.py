"""Spread: how weights and rates are distributed, as a few quantiles that a line can hold."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import ArrayLike

from tracegrad.model import Network

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def weight_spread(network: Network) -> dict[str, list[float]]:
    """`QUANTILES` of every array of weights and biases, by its name; a sort of each."""
    named = zip(jax.tree.leaves(network.names()), jax.tree.leaves(network), strict=True)
    return {name: _quantiles(value) for name, value in named if ".neuron." not in name}


def rate_spread(rates: Sequence[np.ndarray]) -> dict[str, list[float]]:
    """`QUANTILES` over the neurons of every hidden layer of their mean outputs at a step."""
    return {f"layers.{index}": _quantiles(layer) for index, layer in enumerate(rates)}


def _quantiles(values: ArrayLike) -> list[float]:
    return np.quantile(np.asarray(values), QUANTILES).tolist()
