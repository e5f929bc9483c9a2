"""Pool: a connection that averages patches of every channel, with nothing to learn."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.abstract_connection import AbstractConnection, ported
from tracegrad.model.linear_map import AbstractMap, FanIn, Places
from tracegrad.model.parameter import setting
from tracegrad.model.patches import Pair, Patches


class Pooling(AbstractMap):
    """The sum of every patch of every channel, times a number."""

    weight: Float[Array, ""]
    patches: Patches = eqx.field(static=True)

    @property
    def lines(self) -> int:  # type: ignore[override]  # follows from the patches
        """Number of lines that come in."""
        return self.patches.lines

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of neurons."""
        return self.patches.shape[0] * self.patches.number

    def __call__(self, x: Float[Array, "*t m"]) -> Float[Array, "*t n"]:
        """One convolution, every channel for itself."""
        maps = x.reshape(-1, 1, *self.patches.shape[1:])
        padding = [(pad, pad) for pad in self.patches.padding]
        ones = jnp.broadcast_to(self.weight, (1, 1, *self.patches.kernel))
        out = jax.lax.conv_general_dilated(maps, ones, self.patches.stride, padding)
        return out.reshape(*x.shape[:-1], self.size)

    def fan_in(self) -> FanIn:
        """The number, once for every synapse."""
        taps = np.moveaxis(self.patches.taps(), 1, 0).reshape(self.size, -1)
        own = jnp.broadcast_to(self.weight, taps.shape)
        # The type checker takes the abstract sizes of a map for fields; equinox does not.
        return FanIn(own, Places(taps), self.lines)  # pyright: ignore[reportCallIssue]


class Pool(AbstractConnection):
    r"""Average pooling: $I_{c,y,x}=\frac{g}{|\mathrm{kernel}|}\sum_{i,j}x_{c,\,sy+i-p,\,sx+j-p}$.

    Sizes as of `Conv`; the `stride` is the kernel unless given. A gain of rows times columns of the
    kernel sums instead. It has no parameters, and drives neurons of its own. A maximum is no linear
    map; neurons that spike at a single input spike are its counterpart. O(n k) a step.
    Example: `Pool((12, 15, 15), kernel=3, gain=9.0)`.
    """

    shape: tuple[int, int, int] = eqx.field(static=True)
    kernel: Pair = eqx.field(static=True)
    stride: Pair | None = setting(None)
    padding: Pair = setting(0)
    gain: float = setting(1.0)
    ports: int = setting(1)

    def __check_init__(self):
        """Refuse sizes that leave no place."""
        _ = self.patches

    @property
    def patches(self) -> Patches:
        """Which lines each place sees."""
        stride = self.kernel if self.stride is None else self.stride
        return Patches.of(self.shape, self.kernel, stride, self.padding)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the neurons."""
        return (self.shape[0], *self.patches.places)

    @property
    def biased(self) -> bool:  # type: ignore[override]  # never
        """It has no bias."""
        return False

    @property
    def inputs(self) -> int:  # type: ignore[override]  # follows from the shape
        """Number of lines that come in."""
        return self.patches.lines

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """Number of neurons."""
        return self.shape[0] * self.patches.number

    def with_ports(self, ports: int) -> "Pool":
        """The same pooling for each current."""
        return ported(self, ports)

    def maps(self) -> tuple[Pooling, ...]:
        """See `AbstractConnection`."""
        patches = self.patches
        scale = jnp.asarray(self.gain / math.prod(patches.kernel), dtype=float)
        # The type checker takes the abstract sizes of a map for fields; equinox does not.
        return (Pooling(scale, patches),) * self.ports  # pyright: ignore[reportCallIssue]

    def biases(self) -> tuple[Float[Array, " n"], ...]:
        """None."""
        return ()

    def init(self, key: PRNGKeyArray) -> "Pool":
        """Nothing is drawn."""
        return self
