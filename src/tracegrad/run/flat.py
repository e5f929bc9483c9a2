"""Flat: a tree of arrays as plain arrays by name, and back, bit for bit."""

from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import PyTree

from tracegrad.errors import DataError

T = TypeVar("T")
# What safetensors holds as it is; any other type (bfloat16, int4, complex128) is held as its bytes.
PLAIN = frozenset(
    f"{kind}{bits}"
    for kind, sizes in (("float", (16, 32, 64)), ("int", (8, 16, 32, 64)))
    for bits in sizes
) | {"bool", "uint8", "uint16", "uint32", "uint64", "complex64"}


def flatten(tree: PyTree) -> dict[str, np.ndarray]:
    """Every leaf by its path; a random key as its words, named `path:generator`.

    Arrays of a type that safetensors has not are bytes (..., itemsize), named `path:type`.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = [_named(path, leaf) for path, leaf in leaves]
    flat = dict(named)
    assert len(flat) == len(named)  # two leaves of one path would overwrite each other
    return flat


def unflatten(blank: T, found: dict[str, np.ndarray], name: str) -> T:
    """The tree of `blank` with the values of `found`, each where and of the kind its own is.

    `DataError` names what is missing, too many, or of another shape or type, in the file `name`.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(blank)
    expected = [_named(path, leaf) for path, leaf in leaves]
    if odd := sorted(dict(expected).keys() ^ found.keys()):
        what = "more" if odd[0] in found else "less"
        raise DataError(f"{name} is of another learner: it has {what} than it: {odd[0]}.")
    for path, own in expected:
        value = found[path]
        if value.shape != own.shape or value.dtype != own.dtype:
            raise DataError(
                f"{name}: {path} must be {own.dtype} of shape {own.shape}, got {value.dtype} of "
                f"shape {value.shape}. Precision is set with JAX_ENABLE_X64."
            )
    filled = [
        _like(leaf, found[path]) for (_, leaf), (path, _) in zip(leaves, expected, strict=True)
    ]
    return jax.tree.unflatten(structure, filled)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _named(path: tuple, leaf: Any) -> tuple[str, np.ndarray]:
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    if _is_key(leaf):
        return f"{name}:{jax.random.key_impl(leaf)}", np.asarray(jax.random.key_data(leaf))
    array = np.asarray(leaf, order="C")
    if array.dtype.name in PLAIN:
        return name, array
    raw = np.frombuffer(array.tobytes(), np.uint8)
    return f"{name}:{array.dtype.name}", raw.reshape(*array.shape, array.dtype.itemsize)


def _like(leaf: Any, value: np.ndarray) -> Any:
    """The value in the form of the leaf: a number, an array of NumPy or of a device, a key."""
    if isinstance(leaf, bool | int | float | complex):
        return value.reshape(-1).view(type(leaf)).item()
    if _is_key(leaf):
        key = jax.random.wrap_key_data(jax.numpy.asarray(value), impl=jax.random.key_impl(leaf))
        return jax.device_put(key, leaf.sharding)
    array = np.frombuffer(value.tobytes(), leaf.dtype).reshape(leaf.shape)
    if isinstance(leaf, jax.Array):
        return jax.device_put(array, leaf.sharding, may_alias=False)
    return array.copy()
