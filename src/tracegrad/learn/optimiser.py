"""Optimisers: those that belong to a rule, and which of the user's are plain SGD."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from tracegrad.model.adjustable import adjustable


class DynamicState(NamedTuple):
    r"""The running mean $\bar w$ of the weights, the last gradient, and the inner state."""

    mean: PyTree
    last: PyTree
    inner: Any


class Dynamic(eqx.Module):
    r"""The dynamic regulariser of FPTT, around an optimiser that descends it.

    $g_t=\nabla\ell_t+\alpha\big(w_t-\bar w_t\big)-\tfrac12\nabla\ell_{t-1}$, the gradient of
    $\ell_t+\frac\alpha2\|w-\bar w_t-\frac1{2\alpha}\nabla\ell_{t-1}\|^2$ at $w_t$   (1)

    $\bar w_{t+1}=\tfrac12(\bar w_t+w_{t+1})-\tfrac1{2\alpha}\nabla\ell_t$   (2)

    with $\bar w_0=w_0$ and $\nabla\ell_{-1}=0$. $\nabla\ell_t$ is taken at $w_t$ in both, the only
    gradient a step has; the paper's (2) takes it once more at $w_{t+1}$. Two copies of the weights.
    Source: Kag & Saligrama 2021.
    """

    alpha: float = adjustable(
        0.5, "the pull to the mean of past weights", "1 / learning rate", closed=False
    )

    def __check_init__(self):
        """Refuse a strength that is not positive."""
        if not self.alpha > 0:
            raise ValueError(f"alpha must be positive, got {self.alpha}. 0.5 is a start.")

    def __call__(self, inner: optax.GradientTransformation) -> optax.GradientTransformation:
        """`inner` on the regularised gradient (1)."""

        def init(params: PyTree) -> DynamicState:
            # Copies: a learner donates its state, and no array may be donated twice.
            mean = jax.tree.map(jnp.copy, params)
            return DynamicState(mean, jax.tree.map(jnp.zeros_like, params), inner.init(params))

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, DynamicState]:
            def regularised(g: Any, w: Any, mean: Any, last: Any) -> Any:
                return g + self.alpha * (w - mean) - 0.5 * last

            def averaged(mean: Any, w: Any, change: Any, g: Any) -> Any:
                return 0.5 * (mean + w + change) - g / (2.0 * self.alpha)

            pulled = jax.tree.map(regularised, updates, params, state.mean, state.last)
            changes, kept = inner.update(pulled, state.inner, params)
            mean = jax.tree.map(averaged, state.mean, params, changes, updates)
            return changes, DynamicState(mean, updates, kept)

        return optax.GradientTransformation(init, update)


def is_plain_sgd(optimiser: optax.GradientTransformation, params: PyTree, alike: PyTree) -> bool:
    r"""Whether the change is $-\eta_tg$, with one $\eta_t$ for all leaves that `alike` marks.

    Asked of the optimiser itself: nothing in its state has axes, and gradients from
    1e-15 to 1e15 come out in proportion, whatever the parameters are. So momentum, clipping, noise
    and weight decay are told apart, and a schedule is none of these.
    """
    state = optimiser.init(params)
    if any(jnp.ndim(leaf) for leaf in jax.tree.leaves(state)):
        return False
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    draws = [
        jax.random.normal(key, jnp.shape(leaf), jnp.result_type(leaf))
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    marked = jax.tree.leaves(alike)
    rates = []
    for scale in (1e-15, 1.0, 1e15):
        gradient = jax.tree.unflatten(structure, [scale * draw for draw in draws])
        changes = jax.tree.leaves(optimiser.update(gradient, state, params)[0])
        if len(changes) != len(draws):
            return False
        rates.append([_rate(c, scale * d) for c, d in zip(changes, draws, strict=True)])
    table = np.asarray(rates)
    same = np.allclose(table, table[:1], rtol=1e-4, atol=0.0)
    first = table[0, np.asarray(marked)]
    return bool(same and np.allclose(first, first[:1], rtol=1e-4, atol=0.0))


def _rate(change: Array, gradient: Array) -> float:
    """The factor of proportion, or NaN if there is none."""
    ratio = np.asarray(change) / np.asarray(gradient)
    mean = float(np.mean(ratio))
    return mean if np.allclose(ratio, mean, rtol=1e-4, atol=0.0) else float("nan")
