r"""Surrogates: the spike $z=\Theta(x)$ with a smooth stand-in for its derivative.

The argument is the distance to threshold in units of the threshold, $x=(v-A)/\vartheta$, so
$\partial z/\partial v=\psi(x)/\vartheta$. Spiking is strict: no spike at $x=0$.
"""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.model.adjustable import adjustable


@jax.custom_jvp
def _heaviside(x: Array, slope: Array) -> Array:
    """Step function of `x` whose derivative in `x` is `slope`."""
    return (x > 0).astype(x.dtype)


@_heaviside.defjvp
def _heaviside_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    x, slope = primals
    return _heaviside(x, slope), slope * tangents[0]


def _slope(usual: float) -> Any:
    return adjustable(usual, "the larger, the narrower", "per threshold", closed=False)


def _peak(usual: float) -> Any:
    return adjustable(usual, "the height at threshold", "spikes per threshold", closed=False)


class AbstractSurrogate(eqx.Module):
    r"""A spike function: $\Theta(x)$ forward, $\psi(x)$ in place of its derivative."""

    @abstractmethod
    def derivative(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        r"""The surrogate derivative $\psi(x)$."""

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Spike (0 or 1) at distance `x` from threshold."""
        return _heaviside(x, self.derivative(x))


class SuperSpike(AbstractSurrogate):
    r"""Fast sigmoid $\psi=(\gamma|x|+1)^{-2}$: peak 1, half width $(\sqrt2-1)/\gamma$, never zero.

    Source: Zenke & Ganguli 2018; slopes in use: 100 (SpyTorch), 20 (stork), 10 (DECOLLE).
    """

    slope: float = _slope(10.0)

    def derivative(self, x: Array) -> Array:
        """See the class."""
        return 1.0 / (self.slope * jnp.abs(x) + 1.0) ** 2


class Triangle(AbstractSurrogate):
    r"""Triangle $\psi=\gamma\max(0,1-|x|)$: peak $\gamma$, zero from $|x|=1$ on (e-prop).

    Source: Bellec et al. 2020 (with $\gamma=0.3$).
    """

    peak: float = _peak(0.3)

    def derivative(self, x: Array) -> Array:
        """See the class."""
        return self.peak * jnp.maximum(0.0, 1.0 - jnp.abs(x))


class Sigmoid(AbstractSurrogate):
    r"""Logistic $\psi=\gamma\sigma(\gamma x)(1-\sigma(\gamma x))$: peak $\gamma/4$.

    Half width $1.763/\gamma$.
    """

    slope: float = _slope(4.0)

    def derivative(self, x: Array) -> Array:
        """See the class."""
        probability = jax.nn.sigmoid(self.slope * x)
        return self.slope * probability * (1.0 - probability)


class Arctan(AbstractSurrogate):
    r"""Arctangent $\psi=\frac{\gamma/2}{1+(\pi\gamma x/2)^2}$: peak $\gamma/2$.

    Half width $2/(\pi\gamma)$. Source: Fang et al. 2021.
    """

    slope: float = _slope(2.0)

    def derivative(self, x: Array) -> Array:
        """See the class."""
        return 0.5 * self.slope / (1.0 + (0.5 * jnp.pi * self.slope * x) ** 2)


class Boxcar(AbstractSurrogate):
    r"""Boxcar $\psi=\gamma$ where $|x|\le w$, else 0: peak $\gamma$, half width $w$.

    Source: DECOLLE (peak 1, half width 0.5).
    """

    peak: float = _peak(1.0)
    half_width: float = adjustable(
        0.5, "how far from threshold it reaches", "thresholds", closed=False
    )

    def derivative(self, x: Array) -> Array:
        """See the class."""
        return jnp.where(jnp.abs(x) <= self.half_width, self.peak, 0.0).astype(x.dtype)


class StraightThrough(AbstractSurrogate):
    r"""Straight-through $\psi=1$ everywhere: peak 1, no width."""

    def derivative(self, x: Array) -> Array:
        """See the class."""
        return jnp.ones_like(x)
