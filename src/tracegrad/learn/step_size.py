"""Step size: SuperSpike's own scale for every parameter, as an optax transformation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree


class DecayingMax(NamedTuple):
    """The running maximum $v$ of squared gradients, for every parameter."""

    v: PyTree


def scale_by_decaying_max(decay: float, epsilon: float = 1e-8) -> optax.GradientTransformation:
    r"""Divide each gradient by the root of its recent maximum.

    $v\leftarrow\max(g^2,\,\gamma v),\quad g\leftarrow g/(\sqrt v+\varepsilon)$   (1)

    with $\gamma=e^{-T/\tau}$ for updates every T seconds (0.5 s and 30 s in the source). Chain it
    with `optax.scale(-learning_rate)`. The source's bound on weights is left out. Source: Zenke &
    Ganguli 2018 and its code.

    Example: `optax.chain(scale_by_decaying_max(exp(-0.5 / 30)), optax.scale(-1e-3))`.
    """
    if not 0 <= decay <= 1:
        raise ValueError(
            f"decay must be between 0 and 1, got {decay}. It is exp(-T / tau) for updates every T."
        )

    def init(params: Any) -> DecayingMax:
        return DecayingMax(jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, DecayingMax]:
        v = jax.tree.map(lambda g, v: jnp.maximum(g**2, decay * v), updates, state.v)
        scaled = jax.tree.map(lambda g, v: g / (jnp.sqrt(v) + epsilon), updates, v)
        return scaled, DecayingMax(v)

    return optax.GradientTransformation(init, update)
