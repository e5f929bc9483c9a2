"""checkpoint: the same gradient as in one piece, in less memory, however the block is cut."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from claims import assert_equal, block, difference, network
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules = tg.rules
LOSS = tg.losses.mean_squared_error(tg.RateRegulariser(strength=2.0, target=0.1))


def one_block(rule, loss):
    return Chunk(rule, loss, carry=False)


def checkpoint(inner, segments=None):
    return lambda rule, loss: Checkpoint(rule, loss, inner(rule, loss), segments)


def deep():
    return network(tg.CubaLIF(tau_mem=10e-3, normalised=False), tg.ALIF(tau_mem=10e-3))


def whole():
    return Data(claims.inputs(), claims.targets(), claims.weights(), None)


def ragged():
    """Sequences of different lengths, with a hole in one."""
    lengths = random.randint(random.key(8), (claims.BATCH,), claims.STEPS // 2, claims.STEPS)
    valid = (jnp.arange(claims.STEPS)[:, None] < lengths[None]).at[3, 1].set(False)
    weight = jnp.where(valid, claims.weights(), 0.0)
    return Data(claims.inputs(), claims.targets(), weight, valid)


CUTS = {  # the last segment shorter, one for each step, more than there are, the default
    "ragged, 4 segments": (one_block, ragged(), 4),
    "a segment for each step": (one_block, whole(), 25),
    "events, ragged, the default": (Events, ragged(), None),
    "events, more segments than steps": (Events, whole(), 99),
}


@pytest.mark.parametrize("name", CUTS)
def test_segments_change_nothing(name):
    inner, data, segments = CUTS[name]
    net, rule = deep(), rules.block_diagonal()
    plans = (checkpoint(inner, segments), Step)
    ours, step = (block(net, rule, loss=LOSS, data=data, plan=plan) for plan in plans)
    claims.assert_alive(net, step.rates)
    assert_equal(ours.gradient, step.gradient)
    rest = (ours.outputs, ours.loss, ours.rates, ours.stream.state)
    theirs = (step.outputs, step.loss, step.rates, step.stream.state)
    for a, b in zip(jax.tree.leaves(rest), jax.tree.leaves(theirs), strict=True):
        assert jnp.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_random_feedback_to_all_layers_over_segments():
    rule = rules.eprop(tg.signals.Random())
    net = network(tg.LIF(tau_mem=10e-3), tg.LIF(tau_mem=10e-3), all_layers=True)
    ours, step = (block(net, rule, plan=plan) for plan in (checkpoint(one_block, 6), Step))
    claims.assert_alive(net, step.rates)
    assert_equal(ours.gradient, step.gradient)


def test_single_precision_stays_near_double():
    net = deep()
    single = jax.tree.map(lambda a: a.astype(jnp.float32), (net, whole()))
    double = jax.tree.map(lambda a: a.astype(jnp.float64), single)
    ours = block(single[0], rules.eprop(), data=single[1], plan=checkpoint(Events)).gradient
    exact = block(double[0], rules.eprop(), data=double[1], plan=Step).gradient
    off = difference(jax.tree.map(lambda a: a.astype(jnp.float64), ours), exact)
    assert max(off.values()) <= 1e-5, off


def compiled_bytes(net, plan, steps):
    """Bytes that the compiled gradient needs besides what it is given and gives back."""
    given = claims.inputs(steps), claims.targets(steps), jnp.ones((steps, claims.BATCH))

    def compute(net, *given):
        circuit = net.discretise()
        stream = plan.rest(circuit, claims.BATCH, random.key(0))
        return plan.block(circuit, (), stream, Data(*given, None)).gradient

    return jax.jit(compute).lower(net, *given).compile().memory_analysis().temp_size_in_bytes


def test_memory_grows_like_the_root_of_the_length():
    rule, loss = rules.eprop(), tg.losses.mean_squared_error()
    few, many = 400, 6400
    net = network(tg.LIF(tau_mem=10e-3))
    piece = [compiled_bytes(net, one_block(rule, loss), steps) for steps in (few, many)]
    cut = [compiled_bytes(net, checkpoint(one_block)(rule, loss), steps) for steps in (few, many)]
    output = 8 * (many - few) * claims.BATCH * claims.OUTPUTS  # the readout at every step is given
    assert piece[1] / piece[0] > 14.0
    assert (cut[1] - 2 * output) / cut[0] < 6.0, "4, and what does not depend on the length"
    assert cut[1] < piece[1] / 5


def test_a_learner_takes_it_for_sequences():
    net, rule, loss = network(tg.LIF(tau_mem=10e-3)), rules.eprop(), tg.losses.mean_squared_error()
    after = []
    for plan in (one_block(rule, loss), checkpoint(one_block)(rule, loss)):
        learner = tg.Learner(net, rule, loss, optax.sgd(1e-2), plan=plan)
        state = learner.init(random.key(0), claims.BATCH)
        after.append(learner.sequence(state, claims.inputs(), claims.targets())[0].network)
    for ours, theirs in zip(*map(jax.tree.leaves, after), strict=True):
        assert jnp.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_segments_that_make_no_sense_are_refused():
    rule, loss = rules.eprop(), tg.losses.mean_squared_error()
    with pytest.raises(ValueError, match="at least 1"):
        Checkpoint(rule, loss, one_block(rule, loss), 0)
    with pytest.raises(ValueError, match="rule and loss"):
        Checkpoint(rule, loss, one_block(rules.block_diagonal(), loss))
    learner = tg.Learner(deep(), rule, loss, optax.sgd(1.0), plan=checkpoint(one_block)(rule, loss))
    with pytest.raises(ValueError, match="no stream"):
        learner.run(learner.init(random.key(0), claims.BATCH), claims.inputs(), claims.targets())
