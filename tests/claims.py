"""What tests of rules share: small live networks, gradients by rule and plan, and comparisons."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

import tracegrad as tg
from numpy_program import Program
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.planner import Work, choose

STEPS, BATCH, INPUTS, OUTPUTS = 25, 2, 4, 2
SIZES = (5, 4, 3)
EXACT = 1e-10  # float64, relative to the largest entry of a parameter's gradient
ALL_RESETS = (
    tg.SubtractReset(),
    tg.SubtractReset(detached=True),
    tg.ZeroReset(),
    tg.ZeroReset(detached=True),
    tg.NoReset(),
)


def network(*neurons, recurrent=True, readout=5e-3, all_layers=False, autapses=True, gain=4.0):
    """A stack of small layers, one for each neuron, that spikes on `inputs`."""
    sizes = (INPUTS, *SIZES[: len(neurons)])
    layers = [
        tg.Layer(
            tg.Dense(below, n, gain=gain, bias=True),
            neuron,
            recurrent=tg.Dense(n, n, gain=3.0) if recurrent and neuron.recurrent_ports else None,
            autapses=autapses,
        )
        for below, n, neuron in zip(sizes, sizes[1:], neurons, strict=False)
    ]
    read = sum(sizes[1:]) if all_layers else sizes[-1]
    last = tg.Readout(read, OUTPUTS, tau=readout, bias=True, all_layers=all_layers)
    return tg.Network(*layers, readout=last, dt=1e-3).init(random.key(7))


@cache
def inputs(steps=STEPS, batch=BATCH):
    return random.bernoulli(random.key(1), 0.4, (steps, batch, INPUTS)).astype(float)


@cache
def targets(steps=STEPS, batch=BATCH):
    return random.normal(random.key(2), (steps, batch, OUTPUTS))


@cache
def weights(steps=STEPS, batch=BATCH):
    """Loss weights, zero at some steps."""
    drawn = random.uniform(random.key(3), (steps, batch))
    return jnp.where(drawn < 0.2, 0.0, drawn)


def block(net, rule, loss=None, data=None, plan=None, stream=None, feedback=None):
    """The outcome of one block, with the gradient pulled back to the parameters."""
    loss = loss or tg.losses.mean_squared_error()
    plan = (
        (plan or choose(rule, loss, Work(None, carry=True)).plan)
        if not callable(plan)
        else plan(rule, loss)
    )
    data = data or Data(inputs(), targets(), weights(), None)

    def compute(net, data, stream, feedback):
        circuit = net.discretise()
        batch = data.xs.shape[1]
        stream = stream or plan.rest(circuit, batch, random.key(0))
        outcome = plan.block(circuit, feedback, stream, data)
        return outcome._replace(gradient=pull_back(net, outcome.gradient))

    feedback = rule.signal.init(net, random.key(5)) if feedback is None else feedback
    given = (net, data, stream, feedback)
    return evaluated(compute, *given)


def evaluated(function, *given):
    """What a function gives, evaluated by NumPy, as arrays of JAX."""
    found = Program(function, *given)(*given)
    return jax.tree.map(lambda a: jnp.asarray(a) if isinstance(a, np.ndarray) else a, found)


def gradient(net, rule, **options):
    outcome = block(net, rule, **options)
    assert_alive(net, outcome.rates)
    return outcome.gradient


def assert_alive(net, rates):
    """Silent or saturated layers make any two rules agree."""
    for layer, rate in zip(net.layers, rates, strict=True):
        spikes = "surrogate" in vars(layer.neuron)
        mean = float(np.mean(np.abs(rate)))
        assert 0.01 < mean < (0.7 if spikes else 1e3), f"layer is not alive: mean output {mean}"


def difference(ours, theirs):
    """Largest difference of each parameter's gradient, relative to its largest entry.

    By NumPy: JAX would compile every operation for every shape.
    """
    names = jax.tree.leaves(theirs.names())
    sides = ([np.asarray(leaf) for leaf in jax.tree.leaves(tree)] for tree in (ours, theirs))
    pairs = list(zip(names, *sides, strict=True))
    nothing = [name for name, _, b in pairs if not np.any(b)]
    assert not nothing, f"a comparison with zero shows nothing: {nothing}"
    return {n: float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for n, a, b in pairs}


def assert_equal(ours, theirs, tolerance=EXACT):
    off = {name: d for name, d in difference(ours, theirs).items() if not d <= tolerance}
    assert not off, f"gradients differ: {off}"


def assert_differ(ours, theirs, name, by=1e-3):
    assert difference(ours, theirs)[name] > by, f"{name}: gradients do not differ"
