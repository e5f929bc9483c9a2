"""Given: read a gradient that was computed elsewhere, by any program whose arrays NumPy reads."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tracegrad.inspect.agreement import Reals
from tracegrad.model.network import Network

Given = Network | Mapping[str, Any]


def read_gradient(network: Network, given: Given) -> dict[str, Reals]:
    """The gradient of every parameter that learns, in the order of the network, in float64.

    `given` is a gradient of this library or a mapping from the names of `network.names()` to what
    `numpy.asarray` reads. `ValueError` for a parameter that is missing, unknown, frozen, of another
    shape or not finite, `TypeError` for what is no array of real numbers.
    """
    wanted = learning_leaves(network, network)
    foreign = not isinstance(given, Network)
    arrays = dict(given) if foreign else _by_name(given)
    extra = [name for name in arrays if name not in wanted]
    missing = [name for name in wanted if name not in arrays]
    if missing or (extra and foreign):
        raise ValueError(
            f"A gradient must have the parameters that learn, {', '.join(wanted)}; "
            f"{_faults(missing, extra)}. See network.names(), and network.freeze for what does not "
            "learn."
        )
    return {name: _read(name, arrays[name], leaf.shape) for name, leaf in wanted.items()}


def learning_leaves(network: Network, tree: Network) -> dict[str, Any]:
    """Leaves of a tree in the structure of `network`, by the name of each parameter that learns."""
    names, learning = jax.tree.leaves(network.names()), jax.tree.leaves(network.learning())
    listed = zip(names, learning, jax.tree.leaves(tree), strict=True)
    return {name: leaf for name, learns, leaf in listed if learns}


def _by_name(network: Network) -> dict[str, Any]:
    return dict(zip(jax.tree.leaves(network.names()), jax.tree.leaves(network), strict=True))


def _faults(missing: list[str], extra: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"missing: {', '.join(missing)}")
    if extra:
        parts.append(f"unknown or frozen: {', '.join(map(str, extra))}")
    return "; ".join(parts)


def _read(name: str, value: Any, shape: tuple[int, ...]) -> Reals:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"The gradient of {name} could not be read as an array: {error} For a PyTorch tensor "
            "give tensor.detach().cpu().numpy()."
        ) from error
    if not jnp.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"The gradient of {name} must be an array of real numbers, got {array.dtype} from "
            f"{type(value).__name__}."
        )
    if array.shape != shape:
        raise ValueError(
            f"The gradient of {name} must have shape {shape}, got {array.shape}. The row index of "
            "a weight is postsynaptic."
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = int(np.sum(~np.isfinite(array)))
        raise ValueError(
            f"The gradient of {name} must be finite, got {bad} of {array.size} entries that are "
            "not. Find where they arise first."
        )
    return array
