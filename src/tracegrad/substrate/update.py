"""Updates: how a wished change, in least significant bits, gets into a stored weight."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.parameter import setting
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.rounding import AbstractRounding, Stochastic


class AbstractUpdate(eqx.Module):
    """Turns a real change into a whole number of bits, and may keep what is left over."""

    rounding: eqx.AbstractVar[AbstractRounding]

    def start(self, key: PRNGKeyArray) -> Any:
        """The generator's state."""
        return self.rounding.start(key)

    @abstractmethod
    def begin(self, weight: Float[Array, "*shape"]) -> Any:
        """What is kept beside an array of weights; `()` if nothing is."""

    @abstractmethod
    def __call__(self, change: Float[Array, "*shape"], kept: Any, state: Any) -> tuple:
        """Whole bits to add, what is kept, and the generator's state."""


class Direct(AbstractUpdate):
    r"""Round the change: $\Delta k=\mathrm{round}(\Delta w/\mathrm{lsb})$, at most `most` bits.

    With chance and `most=1` a weight goes one bit up or down with the chance $|\Delta w|/
    \mathrm{lsb}$, as ReckOn's does. Rounding to nearest loses every change below half a bit.
    """

    rounding: AbstractRounding = setting(Stochastic())
    most: int | None = setting(None)

    def begin(self, weight: Array) -> Any:
        """Nothing."""
        return ()

    def __call__(self, change: Array, kept: Any, state: Any) -> tuple:
        """See the class."""
        whole, state = self.rounding(change, state)
        limited = whole if self.most is None else jnp.clip(whole, -self.most, self.most)
        return limited, kept, state


class Accumulate(AbstractUpdate):
    r"""Accumulate and fire: a wide accumulator beside each narrow weight.

    $a\leftarrow a+\mathrm{round}(\Delta w/\mathrm{lsb}),\quad
    \Delta k=\mathrm{trunc}(a),\quad a\leftarrow a-\Delta k$   (1)

    The accumulator holds `format.fraction` bits below the weight's own; it saturates or wraps as
    its format says before it fires. No chance is needed. Memory: one accumulator a weight.
    """

    format: Fixed = setting(Fixed(16, 12))
    rounding: AbstractRounding = setting(Stochastic())

    def begin(self, weight: Array) -> Any:
        """An accumulator at zero for every weight."""
        return jnp.zeros_like(weight)

    def __call__(self, change: Array, kept: Any, state: Any) -> tuple:
        """Equation (1)."""
        fine = 2.0**self.format.fraction
        step, state = self.rounding(change * fine, state)
        total = self.format.fit(kept * fine + step) / fine
        fired = jnp.trunc(total)
        return fired, total - fired, state
