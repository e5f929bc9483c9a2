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


def test_the_trace_is_made_of_the_local_derivatives(tiny):
    """Equation (1) of `Block`, in plain numbers, from what the record says of the synapse."""
    batch, rule = example(tiny), tg.rules.block_diagonal()
    learn = learner(rule, None)
    state = learn.init(random.key(0), batch=1)
    shown = record(state, rule, learn.loss, batch).factors
    here, rows = shown.local, ("i_syn", "v")
    self_weight = np.asarray(state.network.layers[0].recurrent.weight)[shown.neuron, shown.neuron]
    trace, emit = dict.fromkeys(rows, 0.0), dict.fromkeys(rows, 0.0)
    expected = []
    for t, x in enumerate(shown.presynaptic):
        back = {r: here[f"echo {r}"][t] + here[f"drive {r}"][t] * self_weight for r in rows}
        trace = {
            row: here[f"drive {row}"][t] * x
            + sum((here[f"own {row} from {c}"][t] + back[row] * emit[c]) * trace[c] for c in rows)
            for row in rows
        }
        emit = {row: here[f"emit {row}"][t] for row in rows}
        expected.append(sum(emit[row] * trace[row] for row in rows))
    assert np.any(shown.trace) and self_weight != 0
    np.testing.assert_allclose(shown.trace, expected, rtol=1e-10, atol=1e-14)
