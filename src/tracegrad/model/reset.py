r"""Reset: what a neuron's last spike does to its membrane, and whether that is differentiated.

Every spiking neuron calls `self.reset(v, z, v_threshold)` once; a rule that drops the reset path
(e-prop) swaps it for `self.reset.detach()`, and nothing else of the neuron.
"""

from abc import abstractmethod

import equinox as eqx
import jax
from jaxtyping import Array, Float

from tracegrad.model.parameter import setting


class AbstractReset(eqx.Module):
    """How the spike of the last step lowers the membrane."""

    @abstractmethod
    def __call__(
        self, v: Float[Array, ""], z: Float[Array, ""], v_threshold: Float[Array, ""]
    ) -> Float[Array, ""]:
        """Membrane after the reset by the spike `z` of the last step."""

    @abstractmethod
    def detach(self) -> "AbstractReset":
        """The same reset without a derivative with respect to the spike."""


class SubtractReset(AbstractReset):
    r"""Subtract the threshold: $v-\vartheta z$."""

    detached: bool = setting(False)

    def __call__(self, v: Array, z: Array, v_threshold: Array) -> Array:
        """See the class."""
        return v - v_threshold * (jax.lax.stop_gradient(z) if self.detached else z)

    def detach(self) -> AbstractReset:
        """See `AbstractReset`."""
        return SubtractReset(detached=True)


class ZeroReset(AbstractReset):
    r"""Reset to zero: $v\,(1-z)$, the whole update of the step after a spike (as in SpyTorch)."""

    detached: bool = setting(False)

    def __call__(self, v: Array, z: Array, v_threshold: Array) -> Array:
        """See the class."""
        return v * (1.0 - (jax.lax.stop_gradient(z) if self.detached else z))

    def detach(self) -> AbstractReset:
        """See `AbstractReset`."""
        return ZeroReset(detached=True)


class NoReset(AbstractReset):
    r"""No reset: $v$."""

    def __call__(self, v: Array, z: Array, v_threshold: Array) -> Array:
        """See the class."""
        return v

    def detach(self) -> AbstractReset:
        """See `AbstractReset`."""
        return self


def require_zero_reset(name: str, reset: AbstractReset) -> None:
    """Refuse a reset that a neuron with an upstroke could run away from."""
    if not isinstance(reset, ZeroReset):
        raise ValueError(
            f"{name} has an upstroke that only a reset to v_reset ends, got "
            f"{type(reset).__name__}. Use ZeroReset()."
        )
