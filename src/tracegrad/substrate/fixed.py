"""Fixed point: whole numbers of a least significant bit, and what happens beyond the last one."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num

from tracegrad.model.parameter import setting

EXACT_BITS = 24  # float32 counts in steps of one up to 2^24


class AbstractOverflow(eqx.Module):
    """What becomes of a whole number that does not fit."""

    @abstractmethod
    def __call__(self, k: Num[Array, "*shape"], low: int, high: int) -> Num[Array, "*shape"]:
        """The number that is kept, from `low` to `high`."""


class Saturate(AbstractOverflow):
    """Keep the nearest number that fits: 127 + 1 is 127."""

    def __call__(self, k: Array, low: int, high: int) -> Array:
        """See the class."""
        return jnp.clip(k, low, high)


class Wrap(AbstractOverflow):
    r"""Drop the bits above, as two's complement does: 127 + 1 is -128."""

    def __call__(self, k: Array, low: int, high: int) -> Array:
        """See the class."""
        return jnp.mod(k - low, high - low + 1) + low


class Fixed(eqx.Module):
    r"""Fixed-point numbers $k\,2^{-f}$ with $k$ of `bits` bits, the sign among them.

    `fraction` is $f$, the bits behind the point; it may be negative. Values stay floats that are
    exactly such numbers, or are the whole numbers $k$ themselves: at most 24 bits, because float32
    counts no further in steps of one. Example: `Fixed(8, 4)` goes from -8 to 7.9375.
    """

    bits: int = setting(8)
    fraction: int = setting(0)
    signed: bool = setting(True)
    overflow: AbstractOverflow = setting(Saturate())

    def __check_init__(self):
        """Refuse widths that float32 cannot hold exactly."""
        low = 2 if self.signed else 1
        if not low <= self.bits <= EXACT_BITS:
            kind = "signed" if self.signed else "unsigned"
            raise ValueError(
                f"bits of a {kind} format must be from {low} to {EXACT_BITS}, got {self.bits}. "
                "Wider numbers are not exact in float32."
            )

    @property
    def low(self) -> int:
        """The lowest $k$."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The highest $k$."""
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    @property
    def lsb(self) -> float:
        """The value of the least significant bit."""
        return 2.0**-self.fraction

    def fit(self, k: Num[Array, "*shape"]) -> Num[Array, "*shape"]:
        """Whole numbers made to fit; not-a-number stays, so that it is seen."""
        return self.overflow(k, self.low, self.high)
