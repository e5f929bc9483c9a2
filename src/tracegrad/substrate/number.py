"""Number: a format and the way into it, for values that stay exact floats."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.model.parameter import setting
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.rounding import AbstractRounding, Nearest


class Number(eqx.Module):
    r"""How a quantity is held: $\mathrm{fit}(\mathrm{round}(x\,2^f))\,2^{-f}$   (1)

    The power of two is exact, so float32 gives the bits that whole numbers would.
    Example: `Number(Fixed(16, 12), Stochastic())`.
    """

    format: Fixed = setting(Fixed())
    rounding: AbstractRounding = setting(Nearest())

    @property
    def draws(self) -> bool:
        """Whether chance decides."""
        return self.rounding.draws

    def start(self, key: PRNGKeyArray) -> Any:
        """The state of the generator."""
        return self.rounding.start(key)

    def hold(self, x: Float[Array, "*shape"], state: Any) -> tuple[Float[Array, "*shape"], Any]:
        """Equation (1), and the generator's state after it."""
        whole, state = self.rounding(x * 2.0**self.format.fraction, state)
        return self.format.fit(whole) * self.format.lsb, state

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Equation (1) without chance."""
        if self.draws:
            raise ValueError(
                "A rounding by chance needs its generator: use hold(x, state). Or round to "
                "Nearest() or Floor()."
            )
        return self.hold(x, ())[0]
