"""Synthetic gradients: the credit that the future will give a state, learned by prediction."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.local import Rows
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals
from tracegrad.model.network import Circuit, Network
from tracegrad.model.stage import StageState


class Carried(NamedTuple):
    """What credit is given to, $h^t$: the layer after a step and the readout's state before it."""

    layer: StageState
    readout: Rows


class Prediction(NamedTuple):
    """Of the step before: what was seen and the known credit; and the gradient of A so far."""

    seen: Float[Array, "batch m"]
    known: Float[Array, "batch n"]
    gradient: Float[Array, "batch n m"]


class Synthetic(AbstractSignal):
    r"""Credit $\hat c^t=A\tilde a^t$ of a layer's states for all of the loss from now on.

    $\tilde a=[h;y^*;1],\qquad
    A\leftarrow A-\eta\,\big(A\tilde a^{t-1}-q^{t-1}-(A\tilde a^t)H^t\big)\tilde a^{t-1\top}$   (1)

    with $q$ the credit of the step's own loss and $H=\partial h^t/\partial h^{t-1}$, by reverse
    mode through one step. $h$ holds the layer's states and output and the state of the readout, so
    a leaky readout's memory is predicted too. A learns with the rate of the weights; its scale is
    that of one sample's loss. The last step of a block is taught at the next one. Memory
    O(batch N (N + o)), time the same a step, for N = n (k + 1) + o.
    """

    adapts: ClassVar[bool] = True
    remembers: ClassVar[bool] = True

    def check(self, network: Network) -> None:
        """Refuse a stack."""
        if len(network.layers) > 1:
            raise ValueError(
                f"Synthetic gradients are learned for one layer, got {len(network.layers)}. Use "
                "one Layer, or uoro() for a stack."
            )

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """Draw A, N(0, 1/width): a first, wrong, prediction."""
        drawn = network.init(jax.random.key(0)).discretise()
        seen = self.rest(drawn, 1, key)
        shape = seen.gradient.shape[1:]
        return (jax.random.normal(key, shape, seen.gradient.dtype) / shape[1] ** 0.5,)

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Prediction:
        """Nothing seen: the first step teaches nothing."""
        layer, readout = circuit.rest(batch)
        known = jnp.zeros_like(_flat(Carried(layer, readout.s)))
        seen = jnp.zeros((batch, known.shape[1] + readout.z.shape[1] + 1), known.dtype)
        return Prediction(seen, known, known[:, :, None] * seen[:, None, :])

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Prediction
    ) -> tuple[Signals, Prediction]:
        """Equation (1): the credit now, and the lesson of the step before."""
        (predictor,), batch = feedback, heard.weight.shape[0]
        here = Carried(heard.moment.after[0], heard.moment.before[-1].s)
        seen = jnp.concatenate(
            [_flat(here), _target(circuit, heard), jnp.ones_like(heard.weight)[:, None]], 1
        )
        credit = _like(here, seen @ predictor.T)
        before = Carried(heard.moment.before[0], heard.moment.before[-1].s)
        back = jax.vjp(lambda h: _step(circuit, h, heard.moment.incoming[0]), before)[1]
        lesson = memory.known + _flat(back(credit)[0])
        wrong = memory.seen @ predictor.T - lesson
        gradient = memory.gradient + wrong[:, :, None] * memory.seen[:, None, :]
        known = batch * _flat(_known(circuit, heard, here))
        asked = {OUTPUT: credit.layer.z, **credit.layer.s}
        signal = {name: value / batch for name, value in asked.items()}
        return (signal,), Prediction(seen, known, gradient)

    def learn(
        self, circuit: Circuit, feedback: Feedback, gradient: Circuit, memory: Prediction
    ) -> tuple[Circuit, Feedback, Prediction]:
        """The gradient of A, the mean over the batch of what its steps taught."""
        taught = jnp.mean(memory.gradient, axis=0)
        return gradient, (taught,), memory._replace(gradient=jnp.zeros_like(memory.gradient))


def _step(circuit: Circuit, before: Carried, x: Float[Array, "batch m"]) -> Carried:
    """One step of what credit is given to; the readout is linear, so its state does not matter."""
    stage, readout = circuit.stages
    current = stage.current(stage.feedforward(x), before.layer.z)
    layer = stage.cell(stage.coefficients, before.layer, current)
    return Carried(layer, _read(circuit, before).s)


def _read(circuit: Circuit, here: Carried) -> StageState:
    """The readout one step on."""
    readout = circuit.stages[-1]
    current = readout.feedforward(here.layer.z)
    still = jnp.zeros_like(next(iter(current.values())))
    return readout.cell(readout.coefficients, StageState(here.readout, still), current)


def _known(circuit: Circuit, heard: Heard, here: Carried) -> Carried:
    """The credit $q$ that the loss of this very step gives."""
    y, back = jax.vjp(lambda h: _read(circuit, h).z, here)
    return back(heard.error_of(y))[0]


def _target(circuit: Circuit, heard: Heard) -> Float[Array, "batch o"]:
    """The target as numbers, as far as the step counts."""
    target, outputs = heard.target, circuit.stages[-1].size
    if jnp.issubdtype(target.dtype, jnp.integer):
        target = jax.nn.one_hot(target, outputs, dtype=heard.weight.dtype)
    return heard.weight[:, None] * target


def _flat(carried: Carried) -> Float[Array, "batch n"]:
    return jax.vmap(lambda one: ravel_pytree(one)[0])(carried)


def _like(carried: Carried, flat: Float[Array, "batch n"]) -> Carried:
    back = ravel_pytree(jax.tree.map(lambda a: a[0], carried))[1]
    return jax.vmap(back)(flat)
