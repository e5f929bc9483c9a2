"""summed: the gradient of a rule that goes forward only, added up over the steps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tracegrad.bench.references.weights import Weights
from tracegrad.model.over_time import over_time

Step = Callable[[Weights, Any, Array, Array], tuple[Any, Array, Weights]]


def summed(
    step: Step,
    start: Any,
    w: Weights,
    xs: Float[Array, "time batch m"],
    classes: Int[Array, " batch"],
) -> tuple[Float[Array, ""], Weights]:
    """Loss and gradient, a mean over steps; `step` gives its state, and both of one step."""

    def body(carry: tuple, x: Array) -> tuple[tuple, None]:
        c, total, loss = carry
        c, here, gradient = step(w, c, x, classes)
        return (c, jax.tree.map(jnp.add, total, gradient), loss + here), None

    zero = jax.tree.map(jnp.zeros_like, w)
    (_, total, loss), _ = over_time(body, (start, zero, jnp.zeros((), xs.dtype)), xs)
    steps = xs.shape[0]
    return loss / steps, jax.tree.map(lambda g: g / steps, total)
