"""Flat: a tree of arrays as plain arrays by name, and back, bit for bit."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jaxtyping import PyTree

from tracegrad.errors import DataError

T = TypeVar("T")
# What safetensors holds as it is; any other type (bfloat16, int4, complex128) is held as its bytes.
PLAIN = frozenset(
    f"{kind}{bits}"
    for kind, sizes in (("float", (16, 32, 64)), ("int", (8, 16, 32, 64)))
    for bits in sizes
) | {"bool", "uint8", "uint16", "uint32", "uint64", "complex64"}


class Kind(NamedTuple):
    """What a leaf is as a plain array."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def flatten(tree: PyTree) -> dict[str, np.ndarray]:
    """Every leaf by its path; a random key as its words, named `path:generator`.

    Arrays of a type that safetensors has not are bytes (..., itemsize), named `path:type`. Of a
    tree that lies on several processes all of them must ask at once.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    flat = {_kind(path, leaf).name: _plain(leaf) for path, leaf in leaves}
    assert len(flat) == len(leaves)  # two leaves of one path would overwrite each other
    return flat


def unflatten(blank: T, found: dict[str, np.ndarray], name: str) -> T:
    """The tree of `blank` with the values of `found`, each where and of the kind its own is.

    `DataError` names what is missing, too many, or of another shape or type, in the file `name`.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(blank)
    expected = [_kind(path, leaf) for path, leaf in leaves]
    compare(expected, found, name)
    filled = [_like(leaf, found[own.name]) for (_, leaf), own in zip(leaves, expected, strict=True)]
    return jax.tree.unflatten(structure, filled)


def named(tree: PyTree) -> dict[str, jax.Array | np.ndarray]:
    """Every leaf by its path, as it is and where it lies; a random key as its words."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_name(path, leaf): _words(leaf) for path, leaf in leaves}


def renamed(blank: T, found: Mapping[str, jax.Array | np.ndarray]) -> T:
    """The tree of `blank` with arrays as `named` gives them of it."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(blank)
    return jax.tree.unflatten(
        structure, [_unworded(leaf, found[_name(path, leaf)]) for path, leaf in leaves]
    )


def compare(expected: Sequence[Kind], found: Mapping[str, Any], name: str) -> None:
    """`DataError` unless `found` has what is expected, each of its shape and type, and no more."""
    if odd := sorted({own.name for own in expected} ^ found.keys()):
        what = "more" if odd[0] in found else "less"
        raise DataError(f"{name} is of another learner: it has {what} than it: {odd[0]}.")
    for own in expected:
        value = found[own.name]
        if value.shape != own.shape or value.dtype != own.dtype:
            raise DataError(
                f"{name}: {own.name} must be {own.dtype} of shape {own.shape}, got {value.dtype} "
                f"of shape {value.shape}. Precision is set with JAX_ENABLE_X64."
            )


def whole(leaf: Any) -> np.ndarray:
    """An array with all of its parts; of one on several processes all of them must ask at once."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return process_allgather(leaf, tiled=True)
    return np.asarray(leaf, order="C")


def laid(array: np.ndarray, where: jax.sharding.Sharding) -> jax.Array:
    """The array as devices have it, those of this process its part; all processes have all of it.

    It is copied, so that its memory can be donated.
    """
    if where.is_fully_addressable:
        return jax.device_put(array, where, may_alias=False)
    return jax.make_array_from_callback(array.shape, where, lambda part: array[part].copy())


def is_key(leaf: Any) -> bool:
    """Whether it is an array of random keys."""
    return isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _name(path: tuple, leaf: Any) -> str:
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    return f"{name}:{jax.random.key_impl(leaf)}" if is_key(leaf) else name


def _words(leaf: Any) -> jax.Array | np.ndarray:
    if is_key(leaf):
        return jax.random.key_data(leaf)
    return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)


def _unworded(leaf: Any, value: Any) -> Any:
    """An array of the kind of the leaf in its form: a number, a key, or the array itself."""
    if isinstance(leaf, bool | int | float | complex):
        return value.reshape(-1).view(type(leaf)).item()
    if is_key(leaf):
        return jax.random.wrap_key_data(value, impl=jax.random.key_impl(leaf))
    return value


def _kind(path: tuple, leaf: Any) -> Kind:
    name, shaped = _name(path, leaf), _words(leaf)
    if shaped.dtype.name in PLAIN:
        return Kind(name, shaped.shape, shaped.dtype)
    size = shaped.dtype.itemsize
    return Kind(f"{name}:{shaped.dtype.name}", (*shaped.shape, size), np.dtype(np.uint8))


def _plain(leaf: Any) -> np.ndarray:
    array = whole(_words(leaf))
    if array.dtype.name in PLAIN:
        return array
    raw = np.frombuffer(array.tobytes(), np.uint8)
    return raw.reshape(*array.shape, array.dtype.itemsize)


def _like(leaf: Any, value: np.ndarray) -> Any:
    """The value in the form of the leaf, and where that lies."""
    own = _words(leaf)
    array = np.frombuffer(value.tobytes(), own.dtype).reshape(own.shape)
    return _unworded(
        leaf, laid(array, own.sharding) if isinstance(own, jax.Array) else array.copy()
    )
