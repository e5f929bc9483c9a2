"""Gradients of many small networks at once, by rule, and the angle between two of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import tracegrad as tg
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import AbstractPlan, Data
from tracegrad.learn.plans.planner import Work, choose


def gradients(networks: tg.Network, rule: tg.Rule, data: Data) -> tuple[tg.Network, list]:
    """Gradient of every network of a stack (first axis) on its own data, and mean outputs.

    Compiled once for each rule and structure of network.
    """
    plan = choose(rule, tg.losses.mean_squared_error(), Work(None, carry=False)).plan
    gradient, rates = _all(networks, data, plan)
    return gradient, [float(jnp.mean(rate)) for rate in rates]


@eqx.filter_jit
def _all(networks: tg.Network, data: Data, plan: AbstractPlan) -> tuple[tg.Network, tuple]:
    def one(network: tg.Network, data: Data) -> tuple[tg.Network, tuple]:
        circuit = network.discretise()
        stream = plan.rest(circuit, data.xs.shape[1], jax.random.key(0))
        feedback = plan.rule.signal.init(network, jax.random.key(0))
        outcome = plan.block(circuit, feedback, stream, data)
        return pull_back(network, outcome.gradient), outcome.rates

    return jax.vmap(one)(networks, data)


def draw(blank: tg.Network, nets: int, steps: int, batch: int, rate: float) -> tuple:
    """`nets` networks with weights drawn, each with its own Bernoulli input and normal targets."""
    keys = jax.random.split(jax.random.key(0), (nets, 3))
    networks = jax.vmap(blank.init)(keys[:, 0])
    inputs, outputs = blank.layers[0].input.inputs, blank.readout.input.outputs

    def data(key: jax.Array, other: jax.Array) -> Data:
        xs = jax.random.bernoulli(key, rate, (steps, batch, inputs)).astype(float)
        ys = jax.random.normal(other, (steps, batch, outputs))
        return Data(xs, ys, jnp.ones((steps, batch)), None)

    return networks, jax.vmap(data)(keys[:, 1], keys[:, 2])


def cosine(ours: jax.Array, exact: jax.Array) -> dict[str, float]:
    """Cosine of the angle and ratio of the lengths: mean and spread over networks."""
    a, b = (np.asarray(g).reshape(g.shape[0], -1) for g in (ours, exact))
    lengths = [np.linalg.norm(g, axis=1) for g in (a, b)]
    if min(length.min() for length in lengths) == 0:
        raise RuntimeError("A gradient is zero: this network is silent and shows nothing.")
    angle = np.sum(a * b, axis=1) / (lengths[0] * lengths[1])
    ratio = lengths[0] / lengths[1]
    return {
        "cosine": float(angle.mean()),
        "cosine_std": float(angle.std(ddof=1)),
        "norm_ratio": float(ratio.mean()),
    }
