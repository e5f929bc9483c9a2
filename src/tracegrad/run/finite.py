"""Finite: a value that is not a number stops a run, with step, layer and quantity named."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree

from tracegrad.errors import UsageError
from tracegrad.learn.plans.plan import Data
from tracegrad.model import Network
from tracegrad.model.network import State, hold


class NotFiniteError(UsageError):
    """A quantity became infinite or not a number."""


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether every real number of the tree is finite."""
    leaves = [a for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(a)) for a in leaves]))


class Suspects(NamedTuple):
    """A batch that went wrong: weights before and after it, and the readout during it."""

    batch: Data
    before: Network
    after: Network
    outputs: Float[Array, "T B o"]


def blame(suspects: Suspects, place: str) -> NotFiniteError:
    """The error that names what is not finite; `place` says which epoch and batch it was.

    Looked for in this order: input and targets, states and outputs under the weights before the
    batch, the weights after it, the optimiser.
    """
    found = chain(_in_data(suspects.batch), _in_states(suspects), _in_weights(suspects))
    what = next(found, "at an update, the optimiser: its state is not finite")
    return NotFiniteError(
        f"Training stopped in {place}: {what}. Lower the learning rate or the gains of the weights."
    )


def _in_data(batch: Data) -> Iterator[str]:
    for name, values in (("input", batch.xs), ("target", batch.ys), ("weight", batch.weight)):
        steps = _bad_steps(values)
        if len(steps):
            yield f"step {steps[0]}, data: the {name} is not finite"


def _in_states(suspects: Suspects) -> Iterator[str]:
    """First step at which a state or output of a stage is not finite, lowest stage first."""
    states = jax.jit(_trajectory)(suspects.before, suspects.batch)
    found = []
    for index, stage in enumerate(states):
        layer = "readout" if index == len(states) - 1 else f"layers.{index}"
        for name, values in {**stage.s, "output": stage.z}.items():
            steps = _bad_steps(values)
            if len(steps):
                found.append((int(steps[0]), index, f"{layer}: its {name}"))
    if found:
        step, _, what = min(found, key=lambda entry: entry[:2])
        yield f"step {step}, {what} is not finite"


def _in_weights(suspects: Suspects) -> Iterator[str]:
    steps = _bad_steps(suspects.outputs)
    when = f"the update before step {steps[0]}" if len(steps) else "the last update"
    for name in broken(suspects.after):
        layer, _, quantity = name.rpartition(".")
        yield f"{when}, {layer}: its {quantity} is not finite"


def broken(network: Network) -> Iterator[str]:
    """Names of the parameters in which a number is not finite."""
    names, values = jax.tree.leaves(network.names()), jax.tree.leaves(network)
    for name, value in zip(names, values, strict=True):
        if not bool(jnp.all(jnp.isfinite(value))):
            yield name


def _bad_steps(values: ArrayLike) -> np.ndarray:
    finite = np.isfinite(np.asarray(values))
    good = finite.reshape(len(finite), -1).all(axis=1)
    return np.flatnonzero(~good)


def _trajectory(network: Network, batch: Data) -> State:
    """States of all stages at every step."""
    circuit = network.discretise()

    def body(state: State, now: tuple) -> tuple[State, State]:
        x, first, valid = now
        after = hold(valid, circuit.step(state, x, first).after, state)
        return after, after

    xs = batch.real.xs
    first = circuit.stages[0].feedforward(xs)
    return jax.lax.scan(body, circuit.rest(xs.shape[1]), (xs, first, batch.valid))[1]
