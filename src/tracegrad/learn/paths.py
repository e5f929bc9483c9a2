"""Gradient paths: every parameter has one, is frozen, or the learner is refused."""

from collections.abc import Callable
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from tracegrad.learn.graph import Graph
from tracegrad.learn.influence import AbstractInfluence
from tracegrad.learn.plans.backprop import Backprop
from tracegrad.learn.plans.plan import AbstractPlan, Data
from tracegrad.model.network import Circuit, Network
from tracegrad.model.surrogate import AbstractSurrogate

_STEPS, _BATCH = 6, 2


class _Graded(eqx.Module):
    """Stands for a surrogate while paths are sought: silence cannot hide a path behind it.

    Its slope vanishes nowhere, and it is bounded as a spike is: a neuron may need its reset to stay
    finite.
    """

    def __call__(self, x: Array) -> Array:
        return x / (1.0 + jnp.abs(x))


def pull_back(
    network: Network, gradient: Circuit, make: Callable[[Network], Circuit] = Network.discretise
) -> Network:
    """Gradient of the parameters from that of the circuit that `make` makes, by the chain rule."""
    circuit, back = jax.vjp(make, network)
    # A rule may have detached resets, which is part of the structure and no array.
    same = jax.tree.unflatten(jax.tree.structure(circuit), jax.tree.leaves(gradient))
    return back(same)[0]


def neurons_learn(network: Network) -> tuple[bool, ...]:
    """Of each stage, whether a parameter of its neurons learns."""
    learning = network.learning()
    neurons = (*(layer.neuron for layer in learning.layers), learning.readout.neuron)
    return tuple(any(jax.tree.leaves(neuron)) for neuron in neurons)


def require_paths(network: Network, plan: AbstractPlan) -> None:
    """Refuse a network with a parameter that learns but whose gradient is structurally zero.

    Runs the rule itself for a few steps, none left out, on random input, with every spike function
    replaced by a graded one so that silence cannot hide a path, and asks for a gradient that is not
    exactly zero.
    An unbiased random rule has the paths of the exact gradient, and noise where there is none: the
    exact one is asked in its place.
    """
    influence = plan.rule.influence
    if isinstance(influence, AbstractInfluence) and influence.unbiased:
        plan = Backprop(plan.rule._replace(influence=Graph()), plan.loss)
    elif isinstance(influence, AbstractInfluence):
        plan = replace(plan, rule=plan.rule._replace(influence=influence.every_step()))

    def is_surrogate(node: object) -> bool:
        return isinstance(node, AbstractSurrogate)

    probe = jax.tree.map(
        lambda node: _Graded() if is_surrogate(node) else node,
        network.init(jax.random.key(0)),
        is_leaf=is_surrogate,
    )
    zeros = [not np.any(leaf) for leaf in jax.tree.leaves(_probe(probe, plan))]
    listed = zip(
        jax.tree.leaves(probe.names()), jax.tree.leaves(probe.learning()), zeros, strict=True
    )
    labels = [name for name, learns, zero in listed if learns and zero]
    if labels:
        raise ValueError(
            f"{plan.rule.name} has no gradient path to {', '.join(labels)}. Freeze what should not "
            "learn with network.freeze(...), or choose a rule or network that reaches it."
        )


@eqx.filter_jit  # compiled once for networks and rules of one structure
def _probe(network: Network, plan: AbstractPlan) -> Network:
    """Gradient on random input, target and weights."""
    circuit = network.discretise()
    inputs, outputs = circuit.stages[0].lines, circuit.stages[-1].size
    dtype = circuit.stages[0].dtype
    keys = jax.random.split(jax.random.key(1), 4)
    xs = 3.0 * jax.random.normal(keys[0], (_STEPS, _BATCH, inputs), dtype)
    ys = jax.random.normal(keys[1], (_STEPS, _BATCH, outputs), dtype)
    data = Data(xs, ys, jnp.ones((_STEPS, _BATCH), dtype), None)
    stream = plan.rest(circuit, _BATCH, keys[3])
    feedback = plan.rule.signal.init(network, keys[2])
    return pull_back(network, plan.block(circuit, feedback, stream, data).gradient)
