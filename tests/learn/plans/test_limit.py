"""limit: estimates of memory near what XLA allots, and the fastest plan that fits."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax import random

import tracegrad as tg
from claims import assert_equal
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.limit import Shape, needed_bytes
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules = tg.rules
LOSS = tg.losses.mean_squared_error()
NEAR = 2.0  # as the module says


def one_block(rule, loss):
    return Chunk(rule, loss, carry=False)


def segments(rule, loss):
    return Checkpoint(rule, loss, one_block(rule, loss))


def event_segments(rule, loss):
    return Checkpoint(rule, loss, Events(rule, loss))


def network(sizes, neuron):
    layers = [
        tg.Layer(tg.Dense(m, n), neuron, recurrent=tg.Dense(n, n))
        for m, n in zip(sizes[:-2], sizes[1:-1], strict=True)
    ]
    readout = tg.Readout(sizes[-2], sizes[-1])
    return tg.Network(*layers, readout=readout, dt=1e-3).init(random.key(0))


def allotted(net, plan, shape):
    """Bytes that XLA plans for the gradient of a block besides arguments and results."""
    steps, batch = shape
    given = [
        jax.ShapeDtypeStruct((steps, batch, *width), jnp.float32)
        for width in ((net.layers[0].input.inputs,), (net.readout.input.outputs,), ())
    ]

    def compute(net, *given):
        circuit = net.discretise()
        stream = plan.rest(circuit, batch, random.key(0))
        return plan.block(circuit, (), stream, Data(*given, None)).gradient

    return jax.jit(compute).lower(net, *given).compile().memory_analysis().temp_size_in_bytes


CASES = {
    "current-based": (((100, 64, 10), tg.CubaLIF()), Shape(200, 16)),
    "deep": (((50, 128, 32, 5), tg.LIF()), Shape(100, 8)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("plan", [one_block, Events, segments, event_segments, Step, Chunk])
def test_estimates_are_near_what_xla_allots(name, plan):
    made, shape = CASES[name]
    net = jax.tree.map(lambda a: a.astype(jnp.float32), network(*made))
    plan = plan(rules.eprop(), LOSS)
    ratio = needed_bytes(plan, net.discretise(), shape) / allotted(net, plan, shape)
    assert 1.0 / NEAR <= ratio <= NEAR, ratio


STEPS, BATCH = 64, 8


def learner(limit=None, rule=None, every=None, plan=None):
    net = network((30, 20, 4), tg.LIF(tau_mem=10e-3))
    rule = rule or rules.eprop()
    plan = plan and plan(rule, LOSS)
    made = tg.Learner(net, rule, LOSS, optax.sgd(1e-2), every, plan=plan)
    return made if limit is None else made.within(limit)


def given():
    xs = random.bernoulli(random.key(1), 0.5, (STEPS, BATCH, 30)).astype(float)
    return xs, random.normal(random.key(2), (STEPS, BATCH, 4))


def amounts():
    """What the plans for these sequences need, the largest first."""
    circuit = learner().network.discretise()
    plans = (one_block(rules.eprop(), LOSS), segments(rules.eprop(), LOSS))
    return [needed_bytes(plan, circuit, Shape(STEPS, BATCH)) for plan in plans]


def learned(made):
    return made.sequence(made.init(random.key(0), BATCH, stream=False), *given())[0].network


def test_the_fastest_plan_that_fits_is_taken_and_changes_nothing():
    most, less = amounts()
    assert less < most
    free, tight = (learner(limit).for_input(given()[0]) for limit in (most, most - 1))
    assert isinstance(free.plan.plan, Chunk)
    assert isinstance(tight.plan.plan, Checkpoint)
    assert "Chunk would need too much" in str(tight.plan)
    assert "MB fit into" in str(tight.plan)
    assert_equal(learned(tight), learned(free))


def test_shapes_are_asked_for_and_calls_go_by_their_own():
    tight = learner(amounts()[0] - 1)
    assert "for_input" in str(tight.plan)
    assert_equal(learned(tight), learned(learner()))


def test_what_fits_nowhere_is_refused_with_the_least_that_would():
    least = amounts()[1]
    with pytest.raises(ValueError, match=f"Checkpoint needs least, about {least}"):
        _ = learner(least - 1).for_input(given()[0]).plan
    with pytest.raises(ValueError, match="needs least"):
        learned(learner(least - 1))
    with pytest.raises(ValueError, match="Chunk needs least"):
        learned(learner(least, plan=one_block))


def test_a_stream_that_needs_more_is_refused():
    small = learner(1000, every=8)
    with pytest.raises(ValueError, match="No plan of eprop"):
        small.run(small.init(random.key(0), BATCH), *given())
    fine = learner(10**9, every=8)
    fine.run(fine.init(random.key(0), BATCH), *given())


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="at least 1 byte"):
        learner(0)
    with pytest.raises(ValueError, match="Backprop, whose memory is not estimated"):
        learned(learner(10**9, rules.bptt()))
    with pytest.raises(ValueError, match="another influence"):
        learned(learner(10**9, rules.rtrl()))


def test_plain_sgd_at_every_step_is_counted_too():
    """A stream goes by the plan that was chosen, or is refused with what it needs."""
    net = network((6, 5, 2), tg.CubaLIF())
    learner = tg.Learner(net, rules.eprop(), LOSS, optax.sgd(0.1), 1)
    learner = learner.for_input(jnp.ones((9, 1, 6)))
    assert str(learner.within(10**6).plan).startswith("ChunkedSGD: plain SGD")
    with pytest.raises(ValueError, match="ChunkedSGD needs least"):
        _ = learner.within(10).plan
