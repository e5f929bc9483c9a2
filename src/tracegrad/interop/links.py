"""Links: linear nodes of NIR as connections, with a neuron's factors in their weights."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from tracegrad.errors import DataError, UsageError
from tracegrad.interop.cells import Row, told
from tracegrad.interop.chain import Named
from tracegrad.interop.values import Shape, array, whole
from tracegrad.model import AbstractConnection, Conv, Dense, Pool, Sparse
from tracegrad.model.patches import Patches


class Drive(NamedTuple):
    """What a neuron asks of its weights: their factor, and a constant current."""

    scale: Row
    constant: Row


def connection(of: Named, shape: Shape, drive: Drive | None) -> AbstractConnection:
    """The connection of a link node for lines of that shape; None asks for nothing."""
    if of.kind in ("Linear", "Affine"):
        return _dense(of, shape, drive)
    return (_conv if of.kind == "Conv2d" else _pool)(of, _map(of, shape), drive)


def out_shape(made: AbstractConnection) -> Shape:
    """The shape of what a connection drives."""
    return made.out_shape if isinstance(made, Conv | Pool) else (made.outputs,)


def identity(size: int, drive: Drive | None = None) -> Dense:
    """A connection that passes its lines on."""
    scale, constant = (np.ones(size), np.zeros(size)) if drive is None else drive
    return filled(np.diag(scale), constant if constant.any() else None)


def filled(
    weight: Float64[np.ndarray, "n m"], bias: Float64[np.ndarray, "n"] | None = None
) -> Dense:
    """A dense connection of these numbers."""
    given = None if bias is None else jnp.asarray(bias, float)
    return Dense.from_arrays(jnp.asarray(weight, float), given)


def flattened(of: Named, shape: Shape) -> Shape:
    """The shape behind a Flatten node, which must leave a single axis."""
    first, last = (int(array(of, key, ()) % len(shape)) for key in ("start_dim", "end_dim"))
    if shape[:first] or shape[last + 1 :]:
        raise DataError(
            f"Node {of.name}: a Flatten of {shape} must join all axes, got start_dim {first} and "
            f"end_dim {last}. Write 0 and -1: a batch has no axis here."
        )
    return (int(np.prod(shape)),)


def dense_arrays(of: Named) -> tuple[Float64[np.ndarray, "n m"], Row | None]:
    """Weight and bias of a Linear or Affine node."""
    weight = array(of, "weight")
    if weight.ndim != 2 or not weight.size:
        raise DataError(
            f"Node {of.name}: weight must have shape (n, m), got {weight.shape}. Write it again."
        )
    return weight, array(of, "bias", weight.shape[:1]) if of.kind == "Affine" else None


def _dense(of: Named, shape: Shape, drive: Drive | None) -> Dense | Sparse:
    weight, bias = dense_arrays(of)
    if weight.shape[1:] != shape:
        raise DataError(
            f"Node {of.name}: weight {weight.shape} must fit what comes in, of shape {shape}. Put "
            "a Flatten before it, or make its nodes fit."
        )
    if drive is not None:
        weight = weight * drive.scale[:, None]
        if bias is not None or drive.constant.any():
            bias = (0.0 if bias is None else bias * drive.scale) + drive.constant
    settings = told(of)
    if settings is not None and settings.get("kind") == "Sparse":
        return sparse(weight, bias)
    return filled(weight, bias)


def sparse(weight: Float64[np.ndarray, "n m"], bias: Row | None) -> Sparse:
    """Synapses where weights are not zero."""
    blank = Sparse.from_mask(weight != 0, bias=bias is not None)
    padded = np.pad(weight, ((0, 0), (0, 1)))
    held = jnp.asarray(np.take_along_axis(padded, blank.places.index, 1), float)
    given = None if bias is None else jnp.asarray(bias, float)
    return eqx.tree_at(
        lambda s: (s.weight, s.bias), blank, (held, given), is_leaf=lambda x: x is None
    )


def _map(of: Named, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise DataError(
            f"Node {of.name} ({of.kind}) must get (channels, rows, columns), gets shape {shape}. "
            "Give its input node that shape."
        )
    return shape


def _padding(of: Named, kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    named = of.node.get("padding")
    if not isinstance(named, str):
        return whole(of, "padding", 0)
    if named == "valid":
        return (0, 0)
    if named != "same" or stride != (1, 1) or not (kernel[0] % 2 and kernel[1] % 2):
        raise UsageError(
            f"Node {of.name}: padding {named!r} needs a stride of 1 and odd kernels. Write numbers."
        )
    return kernel[0] // 2, kernel[1] // 2


def _conv(of: Named, shape: tuple[int, int, int], drive: Drive | None) -> Conv:
    weight = array(of, "weight")
    if weight.ndim != 4 or weight.shape[1] != shape[0]:
        raise DataError(
            f"Node {of.name}: weight must have shape (channels, {shape[0]}, rows, columns), got "
            f"{weight.shape}. Groups are not loaded."
        )
    for key in ("dilation", "groups"):
        if (array(of, key) != 1).any():
            raise UsageError(f"Node {of.name}: {key} must be 1. Write the kernel in full.")
    bias, stride = array(of, "bias", weight.shape[:1]), whole(of, "stride", 1)
    padding = _padding(of, weight.shape[2:], stride)
    _ = Patches.of(shape, weight.shape[2:], stride, padding)
    if drive is not None:
        scale, constant = (_by_channel(of, part, len(weight)) for part in drive)
        weight, bias = weight * scale[:, None, None, None], bias * scale + constant
    biased = (told(of) or {}).get("biased") is not False or bool(bias.any())
    # The type checker takes the abstract sizes of a connection for fields; equinox does not.
    return Conv(  # pyright: ignore[reportCallIssue]
        shape,
        len(weight),
        weight.shape[2:],
        stride,
        padding,
        weight=jnp.asarray(weight, float),  # pyright: ignore[reportCallIssue]
        bias=jnp.asarray(bias, float) if biased else False,
    )


def _by_channel(of: Named, value: Row, channels: int) -> Float64[np.ndarray, "c"]:
    each = value.reshape(channels, -1)
    if not np.allclose(each, each[:, :1], 1e-12):
        raise UsageError(
            f"Node {of.name}: the neurons of a channel share a kernel, but differ in r, v_leak or "
            "a time constant. Make them equal within a channel."
        )
    return each[:, 0]


def _pool(of: Named, shape: tuple[int, int, int], drive: Drive | None) -> Pool:
    kernel = whole(of, "kernel_size", 1)
    gain = float(kernel[0] * kernel[1]) if of.kind == "SumPool2d" else 1.0
    if drive is not None:
        if drive.constant.any() or not np.allclose(drive.scale, drive.scale[0], 1e-12):
            raise UsageError(
                f"Node {of.name}: a pooling has one factor and no bias, but its neurons differ in "
                "r or have a v_leak. Put a Conv2d or Affine between."
            )
        gain *= float(f"{drive.scale[0]:.12g}")  # without the rounding of r
    stride, padding = whole(of, "stride", 1), whole(of, "padding", 0)
    # The type checker takes the abstract sizes of a connection for fields; equinox does not.
    return Pool(shape, kernel, stride, padding, gain)  # pyright: ignore[reportCallIssue]
