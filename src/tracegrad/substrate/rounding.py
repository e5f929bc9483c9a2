"""Rounding: from a real number to a whole one, by rule or by chance.

A rounding that draws carries its generator as a state that is handed in and out, so the same seed
gives the same bits in every program and on every machine.
"""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, UInt32

from tracegrad.model.parameter import setting


class AbstractRounding(eqx.Module):
    """How a real number becomes a whole one."""

    draws: ClassVar[bool] = False

    def start(self, key: PRNGKeyArray) -> Any:
        """The generator's state; `()` where nothing is drawn."""
        return ()

    @abstractmethod
    def __call__(self, x: Float[Array, "*shape"], state: Any) -> tuple[Float[Array, "*shape"], Any]:
        """Whole numbers, and the state after drawing them."""


class Nearest(AbstractRounding):
    """The nearest whole number; halves go to the even one."""

    def __call__(self, x: Array, state: Any) -> tuple[Array, Any]:
        """See the class."""
        return jnp.round(x), state


class Floor(AbstractRounding):
    """The next whole number below, as an arithmetic shift to the right does."""

    def __call__(self, x: Array, state: Any) -> tuple[Array, Any]:
        """See the class."""
        return jnp.floor(x), state


class Counter(NamedTuple):
    """A counter-based generator: a key, and how often it was used."""

    key: Key[Array, ""]
    used: Int[Array, ""]


def by_chance(x: Float[Array, "*shape"], drawn: UInt32[Array, "*drawn"], bits: int) -> Array:
    r"""$\lfloor x\rfloor$, plus one where the draw, of `bits` bits, is below the rest of $x$.

    Both sides of the comparison are exact floats (at most 24 bits), so the chance is the rest of
    $x$ rounded up to $2^{-\mathrm{bits}}$ and the bits are the same everywhere.
    """
    whole = jnp.floor(x)
    level = drawn.astype(jnp.int32).astype(x.dtype) * 2.0**-bits  # signed: cheaper to convert
    return whole + jnp.broadcast_to(level < x - whole, x.shape).astype(x.dtype)


def mixed(x: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """A bijection of 32-bit words that leaves no bit alone: three shifts and two products.

    Source: Wellons, hash-prospector (constants of its least biased hash of this form).
    """
    x = (x ^ (x >> jnp.uint32(16))) * jnp.uint32(0x21F0AAAD)
    x = (x ^ (x >> jnp.uint32(15))) * jnp.uint32(0xD35A2D97)
    return x ^ (x >> jnp.uint32(15))


class Stochastic(AbstractRounding):
    r"""Up with the chance of what is left over: unbiased, $\mathrm E[\mathrm{round}(x)]=x$.

    The draw of an element is a function of the key, of the count of draws before, and of the
    element's index; with `shared` there is one draw a call for all elements. Key and count give
    two words by JAX's generator, once a call; an element mixes its index with them, which costs
    a tenth of a draw of that generator.
    """

    draws: ClassVar[bool] = True
    shared: bool = setting(False)

    def start(self, key: PRNGKeyArray) -> Counter:
        """See `AbstractRounding`."""
        return Counter(key, jnp.zeros((), jnp.int32))

    def __call__(self, x: Array, state: Counter) -> tuple[Array, Counter]:
        """See the class."""
        now = jax.random.fold_in(state.key, state.used)
        words = jax.random.key_data(now)
        index = jnp.zeros((), jnp.uint32)
        if not self.shared:
            index = jnp.arange(x.size, dtype=jnp.uint32).reshape(x.shape)
        drawn = (mixed(index ^ words[0]) ^ words[-1]) >> jnp.uint32(8)
        return by_chance(x, drawn, 24), state._replace(used=state.used + 1)


class Lfsr(AbstractRounding):
    r"""Up by chance, drawn from a linear-feedback shift register of `width` bits, as in silicon.

    A step shifts left by one; the new lowest bit is the exclusive or of the bits named in `taps`
    (1 is the lowest). Every element is one step and compares the whole register, of which the
    upper 24 bits count, in the order of the array; with `shared` one step serves all. The stream
    repeats after at most $2^{width}-1$ steps, and neighbouring draws are correlated: the register
    moves by one bit. O(elements) steps one after the other.
    """

    draws: ClassVar[bool] = True
    width: int = setting(16)
    taps: tuple[int, ...] = setting((16, 15, 13, 4))
    seed: int = setting(1)
    shared: bool = setting(False)

    def __check_init__(self):
        """Refuse a register that cannot run."""
        if not 2 <= self.width <= 32 or self.width not in self.taps or min(self.taps) < 1:
            raise ValueError(
                f"An LFSR has 2 to 32 bits and taps from 1 to its width, the last bit among them, "
                f"got width={self.width} and taps={self.taps}."
            )
        if max(self.taps) > self.width or not 0 < self.seed < 2**self.width:
            raise ValueError(
                f"taps and seed must fit {self.width} bits and the seed must not be zero, got "
                f"taps={self.taps} and seed={self.seed}."
            )

    def start(self, key: PRNGKeyArray) -> UInt32[Array, ""]:
        """The register holds its seed, whatever the key."""
        return jnp.asarray(self.seed, jnp.uint32)

    def advance(self, register: UInt32[Array, ""]) -> UInt32[Array, ""]:
        """One step of the register."""
        one = jnp.uint32(1)
        fed = jnp.uint32(0)
        for tap in self.taps:
            fed = fed ^ (register >> jnp.uint32(tap - 1))
        mask = jnp.uint32(2**self.width - 1)
        return ((register << one) | (fed & one)) & mask

    def words(
        self, state: UInt32[Array, ""], count: int
    ) -> tuple[UInt32[Array, ""], UInt32[Array, " _"]]:
        """The register after `count` steps, and as it was after each of them."""

        def step(register: Array, _: None) -> tuple[Array, Array]:
            after = self.advance(register)
            return after, after

        return jax.lax.scan(step, state, None, length=count)

    def __call__(self, x: Array, state: UInt32[Array, ""]) -> tuple[Array, UInt32[Array, ""]]:
        """See the class."""
        bits = min(self.width, 24)
        state, drawn = self.words(state, 1 if self.shared else x.size)
        shape = () if self.shared else x.shape
        return by_chance(x, drawn.reshape(shape) >> jnp.uint32(self.width - bits), bits), state
