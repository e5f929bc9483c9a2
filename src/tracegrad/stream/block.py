"""Block: some steps of a stream, learned from by one program that is compiled once."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from tracegrad.errors import UsageError
from tracegrad.learn.plans.plan import Data
from tracegrad.run.finite import NotFiniteError, all_finite, broken
from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import LearnerState
from tracegrad.stream.bins import NO_LABEL, Step


class Learned(NamedTuple):
    """Readout and loss of every step, before the update of its own window.

    `rate` is the mean output of a hidden neuron at one of them.
    """

    outputs: Float[np.ndarray, "T o"]
    losses: Float[np.ndarray, "T"]
    rate: float


# Readouts, losses, mean outputs summed over windows, and whether all is finite.
Found = tuple[Float[Array, "T o"], Float[Array, " T"], Float[Array, ""], Bool[Array, ""]]


class StepBlock:
    """Up to `steps` steps at once: whole windows of `update_every`, and as many as there are.

    The number of windows is an argument of the compiled program, so a block that is not full costs
    what it holds, and gives bit for bit the same as if it had been split in any other way. A last
    window that is not full is padded with steps of `valid=False`.
    """

    def __init__(self, learner: Learner, steps: int):
        """Compiled at the first call; `UsageError` for a learner without a step to update after."""
        if learner.update_every is None:
            raise UsageError(
                "A stream has no end to update the weights at: give the learner update_every."
            )
        if learner.loss.over_time is not None or learner.loss.kernel:
            raise UsageError(
                "A stream has labels at single steps: give the learner a loss of every step, such "
                "as cross_entropy."
            )
        self.unit = learner.update_every
        self.steps = max(1, steps // self.unit) * self.unit
        self._learner = learner
        self._run = jax.jit(self._windows, donate_argnums=0)

    def __call__(self, state: LearnerState, steps: list[Step]) -> tuple[LearnerState, Learned]:
        """Learn from at most `self.steps` steps; `NotFiniteError` names what is not finite."""
        windows = -(-len(steps) // self.unit)
        state, found = self._run(state, self._data(steps), jnp.int32(windows))
        outputs, losses, rate, finite = map(np.asarray, found)
        if not finite:
            raise _blame(state, outputs, steps)
        here = len(steps)
        return state, Learned(outputs[:here], losses[:here], float(rate) / windows)

    def _data(self, steps: list[Step]) -> Data:
        """The steps in an array of the compiled size; a step without label has weight 0."""
        real, here = jnp.zeros(()).dtype, len(steps)
        xs = np.zeros((self.steps, steps[0].x.size), real)
        ys, weight = np.zeros(self.steps, np.int32), np.zeros(self.steps, real)
        np.stack([step.x for step in steps], out=xs[:here], casting="same_kind")
        ys[:here] = [max(step.label, 0) for step in steps]
        weight[:here] = [step.label != NO_LABEL for step in steps]
        shaped = (self.steps // self.unit, self.unit, 1)
        valid = np.arange(self.steps) < here
        arrays = (xs.reshape(*shaped, -1), *(a.reshape(shaped) for a in (ys, weight, valid)))
        return Data(*map(jnp.asarray, arrays))

    def _windows(
        self, state: LearnerState, data: Data, windows: Int[Array, ""]
    ) -> tuple[LearnerState, Found]:
        """The first `windows` windows, one after the other."""

        def window(index: Int[Array, ""], carried: tuple[LearnerState, Array, Array]) -> tuple:
            state, outputs, rate = carried
            state, info = self._learner.run(state, *jax.tree.map(lambda a: a[index], data))
            mean = jnp.mean(jnp.concatenate(info.rates))
            return state, outputs.at[index].set(info.outputs), rate + mean

        outputs = self._learner.network.readout.input.outputs
        nothing = jnp.zeros((*data.ys.shape, outputs), data.xs.dtype)
        still = jnp.zeros((), data.xs.dtype)
        state, outputs, rate = jax.lax.fori_loop(0, windows, window, (state, nothing, still))
        outputs, ys = outputs.reshape(self.steps, -1), data.ys.reshape(-1)
        losses = self._learner.loss.at_step(outputs, ys)
        learned: Any = (state.network, state.feedback, state.optimiser, outputs, losses)
        return state, (outputs, losses, rate, all_finite(learned))


def _blame(state: LearnerState, outputs: np.ndarray, steps: list[Step]) -> NotFiniteError:
    """The error that names the step and the quantity, as far as the stream tells."""
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    when = steps[min(int(bad[0]), len(steps) - 1)].start if len(bad) else steps[-1].start
    otherwise = "the readout" if len(bad) else "the optimiser's state"
    what = next(broken(state.network), otherwise)
    return NotFiniteError(
        f"Learning stopped in the step at {when} us: {what} is not finite. Lower the learning rate "
        "or the gains of the weights."
    )
