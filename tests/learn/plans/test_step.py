"""step and chunk: traces held once for all neurons give the same gradient as traces of each."""

import jax
import jax.numpy as jnp
import pytest
from jax import random

import claims
import tracegrad as tg
from claims import assert_equal, block, network
from tracegrad.learn.alike import alike
from tracegrad.learn.plans import chunk
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules = tg.rules
PER_NEURON = jnp.linspace(5e-3, 15e-3, claims.SIZES[0])


def by_steps(rule, loss, common):
    return Step(rule, loss, common)


def by_chunks(rule, loss, common):
    return Chunk(rule, loss, carry=True, common=common)


def by_chunks_alone(rule, loss, common):
    return Chunk(rule, loss, carry=True, common=common, alone=True)


def factored(net, plan):
    return lambda rule, loss: plan(rule, loss, alike(net, rule.influence))


def ragged():
    lengths = random.randint(random.key(8), (claims.BATCH,), claims.STEPS // 2, claims.STEPS)
    valid = (jnp.arange(claims.STEPS)[:, None] < lengths[None]).at[3, 1].set(False)
    weight = jnp.where(valid, claims.weights(), 0.0)
    return Data(claims.inputs(), claims.targets(), weight, valid)


CASES = {
    "current-based, deep": (network(tg.CubaLIF(), tg.CubaLIF(), gain=6.0), rules.eprop()),
    "adaptive": (network(tg.ALIF(tau_mem=10e-3)), rules.eprop()),
    "half in common": (network(tg.CubaLIF(tau_mem=PER_NEURON), gain=6.0), rules.eprop()),
    "no filter": (network(tg.LIF(tau_mem=10e-3), readout=None), rules.eprop()),
    "reset kept": (network(tg.CubaLIF(), recurrent=False, gain=6.0), rules.block_diagonal()),
    "random feedback": (network(tg.LIF(tau_mem=10e-3)), rules.eprop(tg.signals.Random())),
}


@pytest.mark.parametrize("cache", [0, 1 << 23], ids=["by sample", "at once"])
@pytest.mark.parametrize("plan", [by_steps, by_chunks, by_chunks_alone])
@pytest.mark.parametrize("name", CASES)
def test_traces_held_once_change_nothing(name, plan, cache, monkeypatch):
    monkeypatch.setattr(chunk, "CACHE", cache)
    net, rule = CASES[name]
    loss = tg.losses.mean_squared_error(tg.RateRegulariser(0.3, 0.05))
    found = alike(net, rule.influence)
    assert found[0], "something is in common"
    data = ragged()
    first, second = (
        jax.tree.map(lambda a, part=part: a[part], data) for part in (slice(0, 9), slice(9, None))
    )
    ours, theirs = (
        block(net, rule, loss=loss, data=first, plan=p) for p in (factored(net, plan), Step)
    )
    held = ours.stream.memory[0].rows[min(found[0])].weight["current"]
    assert held.shape == (claims.BATCH, 1, claims.INPUTS)
    ours, theirs = (
        block(net, rule, loss=loss, data=second, plan=p, stream=before.stream)
        for p, before in ((factored(net, plan), ours), (Step, theirs))
    )
    claims.assert_alive(net, theirs.rates)
    assert_equal(ours.gradient, theirs.gradient)
    assert jnp.allclose(ours.outputs, theirs.outputs, rtol=1e-12, atol=1e-12)
