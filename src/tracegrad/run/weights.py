"""Weights: a network's parameters as safetensors, with what is needed to build it again."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tracegrad.errors import DataError
from tracegrad.model import Conv, Network, Pool
from tracegrad.run.build import Ends, build_network
from tracegrad.run.config import Config
from tracegrad.run.convolutions import Map


def parameters(network: Network) -> dict[str, np.ndarray]:
    """Every parameter by its path; one that ends in `.log` is the logarithm of a positive one."""
    return dict(zip(names(network), map(np.asarray, jax.tree.leaves(network)), strict=True))


def names(network: Network) -> list[str]:
    """Paths of all parameters, in the order of the tree's leaves."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(network)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]


def to_safetensors(network: Network) -> bytes:
    """All parameters, with lines, outputs, time step and the map, if any, as metadata."""
    first = network.layers[0].input
    shape = first.shape if isinstance(first, Conv | Pool) else None
    ends = Ends(first.inputs, network.readout.input.outputs, network.dt, shape)
    about = {key: json.dumps(value) for key, value in ends._asdict().items() if value is not None}
    return _ordered(save(parameters(network), about))


def _ordered(content: bytes) -> bytes:
    """The same file with its metadata in the order of names: safetensors writes them in any."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    assert len(text) == size  # only the order is another
    return content[:8] + text + content[8 + size :]


def load_network(config: Config, path: Path) -> Network:
    """The network of `config` with the parameters in `path`.

    `DataError` names what does not fit: a file that is broken, a parameter that is missing or too
    many, of another shape or precision, or not finite.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: these weights cannot be read: {error}.") from error
    try:
        ends = Ends(int(about["lines"]), int(about["outputs"]), float(about["dt"]), _map(about))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: lacks lines, outputs and dt, so it is not of a run.") from error
    blank = build_network(config, ends).init(jax.random.key(0))
    expected = parameters(blank)
    _check(path, expected, found)
    return eqx.tree_at(jax.tree.leaves, blank, [jnp.asarray(found[name]) for name in expected])


def _map(about: dict[str, str]) -> Map | None:
    if "shape" not in about:
        return None
    channels, rows, columns = map(int, json.loads(about["shape"]))
    return channels, rows, columns


def _check(path: Path, expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    if expected.keys() != found.keys():
        raise DataError(
            f"{path}: must hold {', '.join(expected)}, got {', '.join(found)}. "
            "The configuration is of another network."
        )
    for name, blank in expected.items():
        value = found[name]
        if value.shape != blank.shape or value.dtype != blank.dtype:
            raise DataError(
                f"{path}: {name} must be {blank.dtype} of shape {blank.shape}, got {value.dtype} "
                f"of shape {value.shape}. Precision is set with JAX_ENABLE_X64."
            )
        if not np.isfinite(value).all():
            raise DataError(f"{path}: {name} must be finite, but is not. Train again.")
