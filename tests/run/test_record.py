"""Record: what the picture shows is what the learner learns from."""

import numpy as np
import optax
import pytest
from jax import random

import tracegrad as tg
from tracegrad.data import Batch
from tracegrad.run.evaluate import on_device
from tracegrad.run.record import record


def example(tiny) -> Batch:
    return next(tiny.test.batches(1, None))


def learner(rule, tau):
    net = tg.Network(
        tg.Layer(tg.Dense(6, 8, gain=4.0), tg.CubaLIF(), recurrent=tg.Dense(8, 8)),
        tg.Layer(tg.Dense(8, 7, gain=4.0), tg.LIF()),
        readout=tg.Readout(7, 2, tau=tau),
        dt=1e-3,
    ).freeze("*.neuron.*")
    return tg.Learner(net, rule, tg.losses.cross_entropy(), optax.sgd(0.1))


@pytest.mark.parametrize(
    ("rule", "tau"),
    [
        (tg.rules.block_diagonal(), 5e-3),
        (tg.rules.eprop(signal=tg.signals.Random()), None),
    ],
)
def test_trace_times_signal_sums_to_the_gradient(tiny, rule, tau):
    batch = example(tiny)
    learn = learner(rule, tau)
    state = learn.init(random.key(0), batch=1)
    seen = record(state, rule, learn.loss, batch)
    gradient, _, _ = learn.gradient(state, *on_device(batch))
    shown = seen.factors
    expected = np.asarray(gradient.layers[0].input.weight)
    assert abs(expected[shown.neuron, shown.line]) > 1e-6, "the synapse must be active"
    np.testing.assert_allclose(shown.product.sum(), expected[shown.neuron, shown.line], rtol=1e-10)
    steps = int(batch.valid.sum())
    assert shown.trace.shape == shown.signal.shape == (steps,)
    np.testing.assert_array_equal(shown.presynaptic, batch.xs[:steps, 0, shown.line])
    assert shown.presynaptic[0] == 0 and shown.presynaptic.any()


def test_without_traces_there_are_no_factors_but_the_states_of_the_network(tiny):
    batch = example(tiny)
    learn = learner(tg.rules.bptt(), 5e-3)
    state = learn.init(random.key(0), batch=1)
    seen = record(state, learn.rule, learn.loss, batch)
    assert seen.factors is None
    steps = int(batch.valid.sum())
    outputs, _ = state.network(on_device(batch).xs[:steps])
    assert len(seen.hidden) == 2 and seen.hidden[0].sum() > 0
    for ours, theirs in zip((*seen.hidden, seen.readout), outputs, strict=True):
        np.testing.assert_allclose(ours, theirs[:, 0], rtol=1e-12, atol=1e-14)
    assert seen.state_name == "v" and seen.state.shape == (steps, 8)
    np.testing.assert_array_equal(seen.state > 1.0, seen.hidden[0] > 0)
