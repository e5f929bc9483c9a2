"""Presentation: samples of static features, shown to a learner one after another."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import LearnerState

BLOCK = 64  # samples that a compiled program takes: one program serves any number of samples


class Learned(NamedTuple):
    """The state after samples, and the mean output of a hidden neuron at a step meanwhile."""

    state: LearnerState
    rate: float


class Presentation:
    r"""Shows every sample for `steps` steps, from rest: feature $l$ is the current $x_l$ of line l.

    The label holds at every step, with weight 1/`steps`. Samples are learned from one by one, so a
    stream that is cut anywhere gives the same weights. Programs are compiled once for each number
    of features; a sample costs `steps` steps of the learner with a batch of 1.
    """

    def __init__(self, learner: Learner, steps: int):
        """Present to this learner; `steps` must be a multiple of its `update_every`."""
        self.learner, self.steps = learner, steps
        self._learn = jax.jit(self._learn_block, donate_argnums=0)
        self._answer = jax.jit(self._answer_block)

    def init(self, key: PRNGKeyArray) -> LearnerState:
        """Drawn weights, and an optimiser at its start."""
        return self.learner.init(key, batch=1, stream=False)

    def learn(
        self,
        state: LearnerState,
        xs: Float[np.ndarray, "samples m"],
        ys: Int[np.ndarray, " samples"],
    ) -> Learned:
        """Learn from at least one sample, in their order; the state handed in is used up."""
        rates = []
        for start in range(0, len(xs), BLOCK):
            x, y = xs[start : start + BLOCK], ys[start : start + BLOCK].astype(np.int32)
            state, rate = self._learn(state, _block(x), jnp.asarray(_padded(y)), len(x))
            rates.append(rate)
        return Learned(state, float(sum(rates)) / len(xs))

    def answer(
        self, state: LearnerState, xs: Float[np.ndarray, "samples m"]
    ) -> Float[np.ndarray, "samples o"]:
        """The readout, mean over the steps of each sample, without learning."""
        blocks = (xs[start : start + BLOCK] for start in range(0, len(xs), BLOCK))
        answers = [np.asarray(self._answer(state, _block(x)), float)[: len(x)] for x in blocks]
        return np.concatenate(answers)

    def _held(self, xs: Float[Array, "batch m"]) -> Float[Array, "time batch m"]:
        return jnp.broadcast_to(xs, (self.steps, *xs.shape))

    def _learn_block(
        self,
        state: LearnerState,
        xs: Float[Array, "block m"],
        ys: Int[Array, " block"],
        samples: Int[Array, ""],
    ) -> tuple[LearnerState, Float[Array, ""]]:
        """The state after the first `samples` of a block, and the sum of their rates."""
        weight = jnp.full((self.steps, 1), 1.0 / self.steps, xs.dtype)

        def one(
            i: Int[Array, ""], carry: tuple[LearnerState, Float[Array, ""]]
        ) -> tuple[LearnerState, Float[Array, ""]]:
            state, rate = carry
            label = jnp.broadcast_to(ys[i], (self.steps, 1))
            state, info = self.learner.sequence(state, self._held(xs[i][None]), label, weight)
            return state, rate + jnp.mean(jnp.concatenate(info.rates))

        return jax.lax.fori_loop(0, samples, one, (state, jnp.zeros((), xs.dtype)))

    def _answer_block(
        self, state: LearnerState, xs: Float[Array, "block m"]
    ) -> Float[Array, "block o"]:
        outputs, _ = self.learner.deployed(state)(self._held(xs))
        return jnp.mean(outputs[-1], axis=0)


def _padded(block: np.ndarray) -> np.ndarray:
    return np.pad(block, ((0, BLOCK - len(block)),) + ((0, 0),) * (block.ndim - 1))


def _block(xs: Float[np.ndarray, "samples m"]) -> Float[Array, "block m"]:
    """A whole block in the default float type of JAX."""
    return jnp.asarray(_padded(xs), float)
