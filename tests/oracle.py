"""The oracle of block influences: reverse-mode AD with stop-gradients at exactly the dropped edges.

It shares the neurons' equations with the library and nothing of its learning code. For each hidden
layer it asks for the gradient of sum_t <c_t, q_t>, where q_t is the layer's output (filtered like
the readout) as a function of that layer's parameters alone, with the edges cut that the rule drops,
and c_t is the gradient of step t's loss through the layers above, whose past is a constant.

The windows of the rate penalty say which steps belong to each, (window, time, batch); None: all.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from tracegrad.learn.loss import Loss
from tracegrad.model import Network
from tracegrad.model.neuron import CURRENT, ports


class Cut(NamedTuple):
    """Which edges stay: the self-weight, the reset's derivative, the readout's memory."""

    self_weight: bool
    reset: bool
    kappa: bool = True


STRICT, IMPLICIT = Cut(True, True), Cut(False, False)


def _layer(stage, cut, before, x):
    """One step of a layer with the dropped edges cut."""
    still = lax.stop_gradient(before.z)
    currents = _currents(stage, x, still)
    if stage.recurrent is not None and cut.self_weight:
        for port, weight in stage.recurrent.items():  # the diagonal once more, for its gradient
            diagonal = lax.stop_gradient(jnp.diagonal(weight))[None]
            currents[port] = currents[port] + diagonal * (before.z - still)
    return stage.cell(stage.coefficients, before, currents)


def _currents(stage, x, z):
    """Every port's current, written out."""
    total = {port: jnp.zeros_like(z) for port in ports(stage.neuron)}
    for port, weight in stage.weight.items():
        total[port] = total[port] + x @ weight.T
    for port, bias in (stage.bias or {}).items():
        total[port] = total[port] + bias[None]
    for port, weight in (stage.recurrent or {}).items():
        total[port] = total[port] + z @ weight.T
    return total


def _prepared(network, cut):
    circuit = network.discretise()
    return circuit if cut.reset else circuit.detach_reset()


def _values(network, xs):
    """Every layer's input, state before each step, and output, as constants."""
    circuit = network.discretise()

    def body(state, x):
        moment = circuit.step(state, x, circuit.stages[0].feedforward(x))
        return moment.after, (moment.incoming, state, tuple(s.z for s in moment.after))

    return lax.scan(body, circuit.rest(xs.shape[1]), xs)[1]


def _read(network, outputs):
    return jnp.concatenate(outputs, axis=-1) if network.readout.all_layers else outputs[-1]


def _credit(network, cut, index, seen, error):
    """c_t of layer `index`: the step's error through the layers above, as they stand."""
    circuit = _prepared(network, cut)
    _, states, outputs = seen

    def heard(z):
        out = [*outputs[:index], z]
        for stage, before in zip(
            circuit.stages[index + 1 : -1], states[index + 1 : -1], strict=True
        ):
            current = _currents(stage, out[-1], before.z)
            out.append(stage.cell(stage.coefficients, before, current).z)
        readout = circuit.stages[-1]
        y = _read(network, out) @ readout.matrix.T
        if not cut.kappa:
            y = readout.cell(readout.coefficients, states[-1], {CURRENT: y}).z
        return jnp.sum(error * y)

    return jax.grad(heard)(outputs[index])


def gradient(network: Network, cut: Cut, loss: Loss, xs, ys, weight, *windows):
    """Gradient of every parameter as the rule defines it, in the structure of the network."""
    seen = _values(network, xs)
    scale = weight / xs.shape[1]

    def step_loss(y, target, w):
        return jnp.sum(w * loss.at_step(y, target))

    errors = jax.vmap(jax.grad(step_loss))(seen[2][-1], ys, scale)

    def objective(network):
        total = _readout_loss(network, seen, ys, scale, step_loss)
        for index in range(len(network.layers)):
            credit = jax.vmap(
                lambda now, e, i=index: _credit(lax.stop_gradient(network), cut, i, now, e)
            )(seen, errors)
            outputs = _outputs(network, cut, index, seen)
            filtered = _filter(lax.stop_gradient(network), outputs) if cut.kappa else outputs
            total = total + jnp.sum(lax.stop_gradient(credit) * filtered)
            total = total + _penalty(loss, outputs, *windows)
        return total

    return jax.grad(objective)(network)


def _outputs(network, cut, index, seen):
    """A layer's outputs over time as a function of its own parameters."""
    stage = _prepared(network, cut).stages[index]

    def body(before, x):
        after = _layer(stage, cut, before, x)
        return after, after.z

    xs = seen[0][index]
    return lax.scan(body, stage.rest(xs.shape[1]), xs)[1]


def _filter(network, z):
    """Outputs through units like those of the readout, which have one time constant for all."""
    neuron = network.readout.neuron
    c = neuron.coefficients(network.dt)

    def one(s, z):
        s = neuron.step(c, s, z, z)
        return s, neuron.output(c, s)

    rest = jax.tree.map(lambda value: jnp.broadcast_to(value, z.shape[1:]), neuron.init(c))
    return lax.scan(jax.vmap(jax.vmap(one)), rest, z)[1]


def _readout_loss(network, seen, ys, scale, step_loss):
    stage = network.discretise().stages[-1]

    def body(before, now):
        x, target, w = now
        after = stage.cell(stage.coefficients, before, _currents(stage, x, before.z))
        return after, step_loss(after.z, target, w)

    xs = seen[0][-1]
    return jnp.sum(lax.scan(body, stage.rest(xs.shape[1]), (xs, ys, scale))[1])


def _penalty(loss, outputs, windows=None):
    windows = jnp.ones((1, *outputs.shape[:2])) if windows is None else windows
    steps = jnp.sum(windows, axis=1)[..., None]
    rate = jnp.einsum("wtb,tbn->wbn", windows, outputs) / jnp.maximum(steps, 1.0)
    off = jnp.where(steps > 0, rate - loss.rate.target, 0.0)
    return 0.5 * loss.rate.strength * jnp.sum(off**2) / outputs.shape[1]


def exact(network: Network, loss: Loss, xs, ys, weight, *windows):
    """Backpropagation through time: plain AD of the whole loss of the network as it runs."""

    def objective(network):
        *hidden, y = network(xs)[0]
        total = jnp.sum(weight * jax.vmap(loss.at_step)(y, ys)) / xs.shape[1]
        return total + sum(_penalty(loss, z, *windows) for z in hidden)

    return jax.grad(objective)(network)


def direct(network: Network, cut: Cut, loss: Loss, xs, ys, weight):
    """The same for one hidden layer, as plain AD of the whole loss through one cut simulation."""

    def objective(network):
        circuit = _prepared(network, cut)
        hidden, readout = circuit.stages

        def body(states, now):
            x, target, w = now
            layer = _layer(hidden, cut, states[0], x)
            current = _currents(readout, layer.z, states[1].z)
            y = readout.cell(readout.coefficients, states[1], current)
            return (layer, y), (jnp.sum(w * loss.at_step(y.z, target)), layer.z)

        scale = weight / xs.shape[1]
        _, (losses, outputs) = lax.scan(body, circuit.rest(xs.shape[1]), (xs, ys, scale))
        return jnp.sum(losses) + _penalty(loss, outputs)

    return jax.grad(objective)(network)
