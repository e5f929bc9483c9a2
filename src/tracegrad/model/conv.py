"""Conv: a connection whose neurons share a kernel over the places of a two-dimensional map."""

import math
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.abstract_connection import (
    AbstractConnection,
    Bias,
    bias_field,
    by_port,
    drawn,
    given,
    initial,
    lead,
    ported,
)
from tracegrad.model.linear_map import AbstractMap, FanIn, Places
from tracegrad.model.parameter import setting
from tracegrad.model.patches import Pair, Patches


class Convolution(AbstractMap):
    """Cross-correlation with a kernel, as `scipy.signal.correlate2d` computes it."""

    weight: Float[Array, "c_out c_in rows columns"]
    patches: Patches = eqx.field(static=True)

    @property
    def lines(self) -> int:  # type: ignore[override]  # read off the patches
        """Number of lines that come in."""
        return self.patches.lines

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of neurons."""
        return self.weight.shape[0] * self.patches.number

    def __call__(self, x: Float[Array, "*t m"]) -> Float[Array, "*t n"]:
        """One convolution for all leading axes."""
        maps = x.reshape(-1, *self.patches.shape)
        padding = [(pad, pad) for pad in self.patches.padding]
        out = jax.lax.conv_general_dilated(maps, self.weight, self.patches.stride, padding)
        return out.reshape(*x.shape[:-1], self.size)

    def fan_in(self) -> FanIn:
        """The kernel, once for every place."""
        channels, *_ = self.weight.shape
        places = self.patches.number
        taps = self.patches.taps().reshape(places, -1)
        kernel = self.weight.reshape(channels, 1, -1)
        own = jnp.broadcast_to(kernel, (channels, *taps.shape)).reshape(-1, taps.shape[1])
        places = Places(np.tile(taps, (channels, 1)))
        # The type checker takes the abstract sizes of a map for fields; equinox does not.
        return FanIn(own, places, self.lines)  # pyright: ignore[reportCallIssue]


class Conv(AbstractConnection):
    r"""Shared kernels: $I_{c,y,x}=b_c+\sum_{c',i,j}K_{c,c',i,j}\,x_{c',\,sy+i-p,\,sx+j-p}$.

    `shape` is (channels, rows, columns) of the lines that come in, which are flat in C order;
    `out_shape` that of the neurons, for the next layer. `kernel`, `stride` s and `padding` p are a
    number or a pair (rows, columns); `padding=k // 2` with stride 1 and an odd kernel k keeps the
    size. $K\sim\mathcal N(0,\ \mathrm{gain}^2/k)$ for a fan-in of k;
    `bias=True` gives every channel one, $b=0$ at first. Shapes: `weight` (channels, c, rows,
    columns), `bias` (channels,), which may be given; of several ports the port first. O(n k) a
    step. Example: `Conv((2, 34, 34), channels=12, kernel=5, stride=2)`.
    """

    shape: tuple[int, int, int] = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    kernel: Pair = eqx.field(static=True)
    stride: Pair = setting(1)
    padding: Pair = setting(0)
    gain: float = setting(1.0)
    bias: Bias = bias_field()
    ports: int = setting(1)
    weight: Float[Array, "*ports c_out c_in rows columns"] | None = None

    def __check_init__(self):
        """Refuse sizes that leave no place."""
        if self.channels < 1:
            raise ValueError(f"A convolution needs at least 1 output channel, got {self.channels}.")
        given(self.weight, self.bias, self._shape, self.ports)

    @property
    def biased(self) -> bool:  # type: ignore[override]  # read off the bias
        """Whether every channel has a bias."""
        return self.bias is not None

    @property
    def patches(self) -> Patches:
        """Which lines each place sees."""
        return Patches.of(self.shape, self.kernel, self.stride, self.padding)

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.channels, self.shape[0], *self.patches.kernel)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the neurons."""
        return (self.channels, *self.patches.places)

    @property
    def inputs(self) -> int:  # type: ignore[override]  # follows from the shape
        """Number of lines that come in."""
        return self.patches.lines

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """Number of neurons."""
        return self.channels * self.patches.number

    def with_ports(self, ports: int) -> "Conv":
        """One kernel for each current."""
        return ported(self, ports)

    def maps(self) -> tuple[Convolution, ...]:
        """See `AbstractConnection`."""
        patches = self.patches
        # The type checker takes the abstract sizes of a map for fields; equinox does not.
        return tuple(
            Convolution(kernel, patches)  # pyright: ignore[reportCallIssue]
            for kernel in by_port(drawn(self.weight), 4)
        )

    def biases(self) -> tuple[Float[Array, " n"], ...]:
        """One for each channel, at all its places."""
        if self.bias is None:
            return ()
        count = self.patches.number
        return tuple(jnp.repeat(b, count) for b in by_port(drawn(self.bias), 1))

    def init(self, key: PRNGKeyArray) -> "Conv":
        """The connection with weights drawn, if it has none yet."""
        weight, shape = self.weight, self._shape
        if weight is None:
            scale = self.gain / math.prod(shape[1:]) ** 0.5
            weight = scale * jax.random.normal(key, (*lead(self.ports), *shape), dtype=float)
        return replace(self, weight=weight, bias=initial(self.bias, self.ports, self.channels))
