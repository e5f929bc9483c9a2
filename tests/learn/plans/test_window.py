"""window: exact where it is as long as the block, and inside its bound where it is not."""

import jax
import jax.numpy as jnp
import pytest
from jax import random

import claims
import tracegrad as tg
from claims import assert_equal, block, difference, gradient, network
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import Data, Stream
from tracegrad.learn.plans.step import Step
from tracegrad.learn.plans.window import Window, contraction

rules = tg.rules


def one_block(rule, loss):
    return Chunk(rule, loss, carry=False)


def window(inner, steps, every=7):
    return lambda rule, loss: Window(rule, loss, inner(rule, loss), steps, every)


def deep():
    return network(tg.CubaLIF(tau_mem=10e-3, normalised=False), tg.ALIF(tau_mem=10e-3))


def ragged():
    lengths = random.randint(random.key(8), (claims.BATCH,), claims.STEPS // 2, claims.STEPS)
    valid = (jnp.arange(claims.STEPS)[:, None] < lengths[None]).at[3, 1].set(False)
    weight = jnp.where(valid, claims.weights(), 0.0)
    return Data(claims.inputs(), claims.targets(), weight, valid)


@pytest.mark.parametrize("inner", [one_block, Events])
@pytest.mark.parametrize("data", [None, ragged()], ids=["whole", "ragged"])
def test_a_window_as_long_as_the_block_is_exact(inner, data):
    net, rule = deep(), rules.block_diagonal()
    long = window(inner, claims.STEPS)
    ours, step = (block(net, rule, data=data, plan=plan) for plan in (long, Step))
    claims.assert_alive(net, step.rates)
    assert_equal(ours.gradient, step.gradient)
    rest = (ours.outputs, ours.loss, ours.rates, ours.stream.state)
    theirs = (step.outputs, step.loss, step.rates, step.stream.state)
    for a, b in zip(jax.tree.leaves(rest), jax.tree.leaves(theirs), strict=True):
        assert jnp.allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", [rules.eprop(), rules.block_diagonal()], ids=lambda r: r.name)
def test_the_error_shrinks_and_stays_inside_the_bound(rule):
    net, loss = network(tg.LIF(tau_mem=5e-3)), tg.losses.mean_squared_error()
    exact = gradient(net, rule, plan=Step)
    circuit, data = (
        net.discretise(),
        Data(claims.inputs(), claims.targets(), claims.weights(), None),
    )
    plan = one_block(rule, loss)
    stream = plan.rest(circuit, claims.BATCH, random.key(0))
    most = _largest(net, rule, loss, data)
    errors = []
    for steps in (1, 4, 12):
        ours = gradient(net, rule, plan=window(one_block, steps, every=1))
        off = jnp.abs(ours.layers[0].input.weight - exact.layers[0].input.weight)
        left = contraction(plan, circuit, stream, data, steps)
        assert jnp.max(off) <= left * most
        assert 0.0 < left < 1.5
        errors.append(difference(ours, exact)["layers.0.input.weight"])
    assert errors[0] > errors[1] > errors[2] > 0.0
    assert errors[0] > 1e-3, "so short a window leaves something out"


def _largest(net, rule, loss, data):
    """What is asked of a neuron over all steps, times the largest trace of one of its weights."""
    plan, circuit = Step(rule, loss), net.discretise()
    stream = plan.rest(circuit, claims.BATCH, random.key(0))
    asked, trace = 0.0, 0.0
    for t in range(claims.STEPS):
        now = jax.tree.map(lambda a, t=t: a[t : t + 1], data)
        outcome = plan.block(circuit, (), stream, now)
        stream = outcome.stream
        error = data.weight[t][:, None] * (outcome.outputs[0] - data.ys[t]) / claims.BATCH
        asked = asked + jnp.sum(jnp.abs(error @ circuit.stages[-1].matrix), axis=0)
        parts = [e.weight["current"] for e in (*stream.memory[0].rows.values(),)]
        parts += [e.weight["current"] for e in stream.memory[0].taps.values()]
        trace = jnp.maximum(trace, jnp.max(jnp.sqrt(sum(part**2 for part in parts))))
    return jnp.max(asked) * trace


def test_a_rate_regulariser_is_refused():
    loss = tg.losses.mean_squared_error(tg.RateRegulariser(1.0, 0.1))
    with pytest.raises(ValueError, match="rate regulariser"):
        block(deep(), rules.eprop(), loss=loss, plan=window(one_block, 5))


def test_a_loss_goes_back_over_the_window_before_it_and_no_further():
    """One loss, against a block that begins at the window's first step in the state of then."""
    net, rule, steps, at = deep(), rules.block_diagonal(), 6, 17
    weight = jnp.zeros_like(claims.weights()).at[at].set(1.0)
    data = Data(claims.inputs(), claims.targets(), weight, None)
    ours = block(net, rule, data=data, plan=window(one_block, steps, every=1)).gradient
    first = at - steps
    state = net(claims.inputs()[:first])[1]
    part = jax.tree.map(lambda a: a[first : at + 1], data)
    short = block(net, rule, data=part, plan=one_block, stream=Stream(state, (), ()))
    claims.assert_alive(net, short.rates)
    assert_equal(ours, short.gradient)


def test_windows_that_make_no_sense_are_refused():
    rule, loss = rules.eprop(), tg.losses.mean_squared_error()
    with pytest.raises(ValueError, match="at least 1 step"):
        Window(rule, loss, one_block(rule, loss), steps=0)
    with pytest.raises(ValueError, match="same rule"):
        Window(rule, loss, one_block(rules.block_diagonal(), loss))
