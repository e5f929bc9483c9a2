"""chunk: groups of neurons of a layer, by a reverse scan that mixes inside them."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from claims import assert_differ, assert_equal, block, difference, network
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step
from tracegrad.learn.plans.window import contraction

rules = tg.rules
LOSS = tg.losses.mean_squared_error(tg.RateRegulariser(strength=2.0, target=0.1))


def one_block(rule, loss):
    return Chunk(rule, loss, carry=False)


def deep(**options):
    lif, adaptive = tg.CubaLIF(tau_mem=10e-3, normalised=False), tg.ALIF(tau_mem=10e-3)
    return network(lif, adaptive, **options)


def ragged():
    """Sequences of different lengths, with a hole in one."""
    lengths = random.randint(random.key(8), (claims.BATCH,), claims.STEPS // 2, claims.STEPS)
    valid = (jnp.arange(claims.STEPS)[:, None] < lengths[None]).at[3, 1].set(False)
    weight = jnp.where(valid, claims.weights(), 0.0)
    return Data(claims.inputs(), claims.targets(), weight, valid)


GROUPS = {
    "in a row": rules.block(2),
    "by label": rules.block([[0, 1, 0, 1, 0], [2, 2, 3, 2], [4, 5]]),
    "a layer each": rules.ostl(),
    "a layer each, filtered": rules.ostl(filter=tg.Kappa(), signal=tg.signals.Random()),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups_go_back_together(name):
    net, rule = deep(all_layers=name == "by label"), GROUPS[name]
    ours, step = (
        block(net, rule, loss=LOSS, data=ragged(), plan=plan) for plan in (one_block, Step)
    )
    claims.assert_alive(net, step.rates)
    assert_equal(ours.gradient, step.gradient)
    rest = (ours.outputs, ours.loss, ours.rates, ours.stream.state)
    theirs = (step.outputs, step.loss, step.rates, step.stream.state)
    for a, b in zip(jax.tree.leaves(rest), jax.tree.leaves(theirs), strict=True):
        assert jnp.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_groups_in_segments_and_beside_single_neurons():
    net, rule = deep(), rules.block(2)
    whole, cut, single = (
        block(net, r, loss=LOSS, plan=plan).gradient
        for r, plan in (
            (rule, one_block),
            (rule, lambda r, c: Checkpoint(r, c, one_block(r, c), 4)),
            (rules.block_diagonal(), one_block),
        )
    )
    assert_equal(cut, whole)
    assert_differ(whole, single, "layers.0.input.weight")


def test_single_precision_stays_near_double():
    net, rule = deep(), rules.block(2)
    data = Data(claims.inputs(), claims.targets(), claims.weights(), None)
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (net, data))
    double = jax.tree.map(lambda a: a.astype(jnp.float64), single)
    ours = block(single[0], rule, data=single[1], plan=one_block).gradient
    exact = block(double[0], rule, data=double[1], plan=Step).gradient
    off = difference(jax.tree.map(lambda a: a.astype(jnp.float64), ours), exact)
    assert max(off.values()) <= 1e-5, off


def planned(rule, every=None):
    learner = tg.Learner(deep(), rule, tg.losses.mean_squared_error(), optax.sgd(1.0), every)
    return learner.plan


def test_groups_of_one_layer_are_planned_so_and_others_step_by_step():
    grouped = planned(rules.block(2))
    assert isinstance(grouped.plan, Chunk)
    assert "inside the groups" in grouped.why
    assert isinstance(planned(rules.block(2), every=5).plan, Step)
    across = rules.block([[0, 1, 0, 1, 0], [0, 2, 3, 2], [4, 5]])
    assert isinstance(planned(across).plan, Step)
    assert isinstance(planned(rules.snap(2)).plan, Step)


def test_the_bound_of_a_window_is_not_given_for_groups():
    net, rule, loss = deep(), rules.block(2), tg.losses.mean_squared_error()
    plan, circuit = one_block(rule, loss), net.discretise()
    stream = plan.rest(circuit, claims.BATCH, random.key(0))
    with pytest.raises(ValueError, match="one block per neuron"):
        contraction(plan, circuit, stream, ragged(), 5)
