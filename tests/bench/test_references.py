"""The references are the gradients they are named after, and tracegrad's rules are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tracegrad.bench import REFERENCES, Workload, given, network
from tracegrad.bench.references.event_lists import Bounds, event_lists, listed
from tracegrad.bench.references.training import every_step, training_step
from tracegrad.bench.references.weights import Weights, cross_entropy, weights
from tracegrad.bench.workload import ALPHA, BETA, KAPPA, SLOPE, spikes
from tracegrad.learn.losses import cross_entropy as loss
from tracegrad.learn.rules import rtrl
from tracegrad.run.learner import Learner

SMALL = Workload(lines=9, hidden=7, classes=3, steps=25, batch=2)
DENSE = 0.2


@pytest.fixture(scope="module")
def arrays():
    made = given(SMALL, DENSE)
    made = made._replace(w_in=4.0 * made.w_in)  # few lines: let the neurons spike
    incoming, hidden = spikes(SMALL, made)
    assert incoming > 1.0 and 0.3 < hidden < 3.0
    return made._replace(
        **{n: np.float64(getattr(made, n)) for n in ("xs", "w_in", "w_rec", "w_out")}
    )


@jax.custom_jvp
def spike(v):
    return (v > 1.0).astype(v.dtype)


@spike.defjvp
def _(primals, tangents):
    (v,), (dv,) = primals, tangents
    return spike(v), dv / (1.0 + SLOPE * jnp.abs(v - 1.0)) ** 2


def by_autodiff(w, xs, classes, detach_reset, cut_recurrence):
    """The plain forward pass, step by step in Python; JAX differentiates it."""

    def total(w):
        i = v = z = jnp.zeros((xs.shape[1], w.w_rec.shape[0]))
        readout, seen = jnp.zeros((xs.shape[1], w.w_out.shape[1])), []
        for x in xs:
            across = jax.lax.stop_gradient(z) if cut_recurrence else z
            i = ALPHA * i + x @ w.w_in + across @ w.w_rec
            v = BETA * v + i - (jax.lax.stop_gradient(z) if detach_reset else z)
            z = spike(v)
            readout = KAPPA * readout + z @ w.w_out
            seen.append(readout)
        return cross_entropy(jnp.stack(seen), classes)

    return jax.value_and_grad(total)(w)


def distance(one, other) -> float:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs)


TRUTH = {  # (the reset is detached, the recurrent connection is cut)
    "expert BPTT": (True, False),
    "stop-gradient": (True, True),
    "naive e-prop": (True, True),
    "dense RTRL": (False, False),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_is_the_gradient_of_its_graph_and_of_no_other(name, arrays):
    w, xs, classes = weights(arrays), jnp.asarray(arrays.xs), jnp.asarray(arrays.classes)
    value, gradient = jax.jit(REFERENCES[name])(w, xs, classes)
    for graph in ((True, False), (True, True), (False, False), (False, True)):
        expected_value, expected = by_autodiff(w, xs, classes, *graph)
        assert abs(value - expected_value) < 1e-12
        apart = distance(gradient, expected)
        assert apart < 1e-10 if graph == TRUTH[name] else apart > 1e-3, (graph, apart)


def test_lists_of_events_give_the_gradient_of_products(arrays):
    w, xs, classes = weights(arrays), jnp.asarray(arrays.xs), jnp.asarray(arrays.classes)
    value, gradient = REFERENCES["stop-gradient"](w, xs, classes)

    def by_lists(incoming: int) -> tuple:
        return event_lists(Bounds(incoming, SMALL.hidden))(w, listed(xs, incoming), classes)

    found_value, found = by_lists(SMALL.lines)
    assert abs(value - found_value) < 1e-12 and distance(found, gradient) < 1e-10
    assert distance(by_lists(1)[1], gradient) > 1e-3  # too small a bound loses spikes


def learned(rule, arrays):
    """tracegrad's gradient in the layout (from, to)."""
    net = network(SMALL, arrays)
    learner = Learner(net, rule, loss(), optax.sgd(1.0))
    state = learner.init(jax.random.key(0), SMALL.batch)
    xs = jnp.asarray(arrays.xs)
    ys = jnp.broadcast_to(jnp.asarray(arrays.classes, jnp.int32)[None], xs.shape[:2])
    weight = jnp.full(xs.shape[:2], 1.0 / SMALL.steps)
    after, _ = learner.sequence(state, xs, ys, weight)

    def of(net) -> Weights:
        layer = net.layers[0]
        parts = (layer.input.weight, layer.recurrent.weight, net.readout.input.weight)
        return Weights(*(part.T for part in parts))

    return jax.tree.map(jnp.subtract, of(net), of(after.network))


def test_the_network_of_a_workload_is_the_one_of_the_references(arrays):
    w, xs, classes = weights(arrays), jnp.asarray(arrays.xs), jnp.asarray(arrays.classes)
    exact = by_autodiff(w, xs, classes, detach_reset=False, cut_recurrence=False)[1]
    assert distance(learned(rtrl(), arrays), exact) < 1e-10


def test_a_training_step_is_one_update_and_the_online_one_is_an_update_a_step(arrays):
    w, xs, classes = weights(arrays), jnp.asarray(arrays.xs), jnp.asarray(arrays.classes)
    sgd = optax.sgd(0.1)
    gradient = REFERENCES["naive e-prop"](w, xs, classes)[1]
    once = training_step(REFERENCES["naive e-prop"], sgd)(w, sgd.init(w), xs, classes)[0]
    assert distance(once, jax.tree.map(lambda w, g: w - 0.1 * g, w, gradient)) < 1e-12
    # A rate so small that the weights do not matter: the same sum, less the mean over steps.
    slow = optax.sgd(1e-9)
    after = every_step(slow)(w, slow.init(w), xs, classes)[0]
    moved = jax.tree.map(lambda a, b: (b - a) / (1e-9 * SMALL.steps), after, w)
    assert distance(moved, gradient) < 1e-4
