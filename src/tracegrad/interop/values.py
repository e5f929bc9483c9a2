"""Values: the arrays of a NIR node, checked one by one, as double precision."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from tracegrad.errors import DataError
from tracegrad.interop.chain import Named

Shape = tuple[int, ...]


def array(of: Named, key: str, shape: Shape | None = None) -> Float64[np.ndarray, "..."]:
    """The finite numbers `key` of a node, of that shape where one is given."""
    if key not in of.node:
        raise DataError(f"Node {of.name} ({of.kind}) has no {key}. Write the graph again.")
    value = np.asarray(of.node[key])
    if value.dtype.kind not in "biuf":
        raise DataError(f"Node {of.name}: {key} must be numbers, is {value.dtype}. Write it again.")
    if shape is not None and value.shape != shape:
        raise DataError(
            f"Node {of.name}: {key} must have shape {shape}, got {value.shape}. Make its nodes fit."
        )
    if not np.isfinite(value).all():
        raise DataError(f"Node {of.name}: {key} must be finite, but is not. Replace the numbers.")
    return value.astype(np.float64)


def rows(
    of: Named, key: str, shape: Shape, default: float | None = None
) -> Float64[np.ndarray, "n"]:
    """One number for each neuron, flat in C order; a single number stands for all."""
    if key not in of.node and default is not None:
        return np.full(int(np.prod(shape)), default)
    value = array(of, key)
    return array(of, key, shape).ravel() if value.size != 1 else np.full(np.prod(shape), value)


def positive(of: Named, key: str, shape: Shape) -> Float64[np.ndarray, "n"]:
    """The same, where every number must be above zero."""
    value = rows(of, key, shape)
    if value.min(initial=1.0) <= 0:
        raise DataError(f"Node {of.name}: {key} must be positive, got {value.min()}. Replace it.")
    return value


def zero(of: Named, key: str, shape: Shape, why: str) -> None:
    """Refuse a node whose `key` is not zero throughout."""
    value = rows(of, key, shape, 0.0)
    if value.any():
        raise DataError(f"Node {of.name}: {key} must be 0, got {value[value != 0][0]}. {why}")


def whole(of: Named, key: str, least: int) -> tuple[int, int]:
    """A pair (rows, columns) of whole numbers; one number stands for both."""
    value = array(of, key)
    if value.size not in (1, 2) or (value != np.rint(value)).any() or value.min() < least:
        raise DataError(
            f"Node {of.name}: {key} must be one or two whole numbers of at least {least}, got "
            f"{value.tolist()}. Write it again."
        )
    first, last = value.ravel()[0], value.ravel()[-1]
    return int(first), int(last)


def shape_of(of: Named) -> Shape:
    """The shape of an input node."""
    value: Any = array(of, "shape")
    if value.ndim != 1 or len(value) not in (1, 3) or value.min() < 1 or value.max() > 2**24:
        raise DataError(
            f"Node {of.name}: shape must be (lines) or (channels, rows, columns), got "
            f"{value.tolist()}. Write it again."
        )
    return tuple(int(size) for size in value)
