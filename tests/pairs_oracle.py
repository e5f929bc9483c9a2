"""The oracle of masked influences: reverse-mode AD, one unit of origin at a time.

For the weights of one unit b only the connections between two units that are kept for b pass a
derivative on, in time and through the stack. What leaves them at a step is heard by the loss of
that step through everything above, as it stands. It shares the neurons' equations with the library
and nothing of its learning code.
"""

import jax
import jax.numpy as jnp
from jax import lax

import oracle
from tracegrad.model.neuron import ports


def gradient(network, kept, loss, xs, ys, weight):
    """Gradient of every parameter for kept[affected, origin], all units one after another."""
    seen = oracle._values(network, xs)
    scale = weight / xs.shape[1]

    def step_loss(y, target, w):
        return jnp.sum(w * loss.at_step(y, target))

    errors = jax.vmap(jax.grad(step_loss))(seen[2][-1], ys, scale)
    origins = jnp.eye(kept.shape[0])

    def objective(network):
        def of(origin, passes):
            return _objective(network, origin, passes, (seen, errors, loss))

        return jnp.sum(jax.vmap(of)(origins, kept.T.astype(float)))

    return jax.grad(objective)(network)


def _objective(network, origin, passes, known):
    seen, errors, loss = known
    circuit = network.discretise()
    still = lax.stop_gradient(circuit)
    origin, passes = _cut(circuit, origin), _cut(circuit, passes)
    outputs = _simulate(_only(circuit, origin), still, passes, seen[0][0])
    credits = jax.vmap(lambda now, e: _leaving(still, passes, now, e))(seen, errors)
    total = jnp.sum(errors * outputs[-1])
    for credit, z in zip(credits, outputs[:-1], strict=True):
        filtered = oracle._filter(lax.stop_gradient(network), z)
        total = total + jnp.sum(lax.stop_gradient(credit) * filtered) + oracle._penalty(loss, z)
    return total


def _cut(circuit, units):
    ends = [sum(s.size for s in circuit.stages[: i + 1]) for i in range(len(circuit.hidden))]
    return jnp.split(units, ends)


def _only(circuit, origin):
    """The circuit with everything constant but what belongs to the unit of origin."""

    def pick(stage, mine):
        def of_unit(leaf):
            here = mine.reshape(-1, *(1,) * (leaf.ndim - 1))
            return jnp.where(here > 0, leaf, lax.stop_gradient(leaf))

        return jax.tree.map(of_unit, stage)

    return [pick(stage, mine) for stage, mine in zip(circuit.stages, origin, strict=True)]


def _simulate(stages, still, passes, xs):
    """Outputs of all stages over time, differentiable through kept connections only."""

    def body(states, x):
        after, outputs = [], []
        for index, (stage, constant) in enumerate(zip(stages, still.stages, strict=True)):
            below = x
            if index:
                last = index == len(stages) - 1
                below = still.read(outputs) if last else outputs[-1]
            from_below = _below_passes(still, passes, index, below)
            current = {port: jnp.zeros_like(states[index].z) for port in ports(stage.neuron)}
            for port, matrix in stage.weight.items():
                path = constant.weight[port] * from_below
                current[port] += _apart(matrix, path, below)
            for port, bias in (stage.bias or {}).items():
                current[port] += bias[None]
            for port, matrix in (stage.recurrent or {}).items():
                both = passes[index][:, None] * passes[index][None]
                current[port] += _apart(matrix, constant.recurrent[port] * both, states[index].z)
            after.append(stage.cell(stage.coefficients, states[index], current))
            outputs.append(after[-1].z)
        return tuple(after), tuple(outputs)

    return lax.scan(body, still.rest(xs.shape[1]), xs)[1]


def _apart(matrix, path, activity):
    """The value W x, with the derivative of `matrix` and of `path` times the activity's."""
    constant = lax.stop_gradient(activity)
    return constant @ matrix.T + (activity - constant) @ path.T


def _below_passes(still, passes, index, below):
    """Which connections from below join two kept units; none from the input."""
    if not index:
        return jnp.zeros((passes[0].shape[0], below.shape[-1]))
    last = index == len(still.stages) - 1
    from_ = still.read(list(passes[:index])) if last else passes[index - 1]
    return passes[index][:, None] * from_[None]


def _leaving(still, passes, now, error):
    """What the loss of a step asks of every unit by way of connections that leave."""
    _, states, outputs = now

    def heard(extras):
        out, moved = [], []
        for index, stage in enumerate(still.stages[:-1]):
            below = out[-1] if index else now[0][0]
            currents = oracle._currents(stage, below, states[index].z)
            if index:
                for port, matrix in stage.weight.items():
                    leaves = matrix * (1.0 - passes[index])[:, None]
                    currents[port] += extras[index - 1] @ leaves.T
            out.append(stage.cell(stage.coefficients, states[index], currents).z)
            moved.append(extras[index])
        readout = still.stages[-1]
        y = still.read(out) @ readout.matrix.T
        y += still.read(moved) @ (readout.matrix * (1.0 - passes[-1])[:, None]).T
        return jnp.sum(error * y)

    return jax.grad(heard)(tuple(jnp.zeros_like(z) for z in outputs[:-1]))
