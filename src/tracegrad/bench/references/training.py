"""training: a reference as a training step, with an optimiser."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from tracegrad.bench.references.naive_eprop import eprop_step, traces
from tracegrad.bench.references.weights import Gradient, Weights
from tracegrad.model.over_time import over_time


def training_step(
    gradient: Gradient, optimiser: optax.GradientTransformation
) -> Callable[..., tuple]:
    """Gradient and one update, to compile."""

    def step(w: Weights, memory: Any, xs: Array, classes: Array) -> tuple[Weights, Any, Array]:
        loss, g = gradient(w, xs, classes)
        changes, memory = optimiser.update(g, memory, w)
        return jax.tree.map(jnp.add, w, changes), memory, loss

    return step


def every_step(optimiser: optax.GradientTransformation) -> Callable[..., tuple]:
    """Naive e-prop that changes the weights at every step, to compile."""

    def sequence(w: Weights, memory: Any, xs: Array, classes: Array) -> tuple[Weights, Any, Array]:
        def body(carry: tuple, x: Array) -> tuple[tuple, Array]:
            w, memory, c = carry
            c, loss, gradient = eprop_step(w, c, x, classes)
            changes, memory = optimiser.update(gradient, memory, w)
            return (jax.tree.map(jnp.add, w, changes), memory, c), loss

        start = (w, memory, traces(w, xs.shape[1]))
        (w, memory, _), losses = over_time(body, start, xs)
        return w, memory, losses

    return sequence
