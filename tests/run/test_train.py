"""Training: it learns, says what it costs, and stops by name where a number is not finite."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from jax import random

import tracegrad as tg
from tracegrad.data import Batch, CopyCurriculum, Task, copy_curriculum
from tracegrad.run.build import build_learner
from tracegrad.run.evaluate import on_device
from tracegrad.run.finite import NotFiniteError, Suspects, all_finite, blame
from tracegrad.run.peak_memory import peak_memory
from tracegrad.run.train import Watch, train

from .conftest import TINY, learning


def test_training_learns_the_task(done):
    first, last = done.finished.epochs[0], done.finished.epochs[-1]
    assert len(done.finished.epochs) == TINY.learning.epochs
    assert last.train_loss < 0.8 * first.train_loss
    assert last.test_loss < first.test_loss
    assert last.test_accuracy > 0.8
    assert 0.01 < last.rate < 0.9
    assert last.microseconds_per_step > 0


def test_a_watch_sees_every_batch_and_epoch(tiny, tiny_learner):
    batches, epochs = [], []
    config = learning(TINY, epochs=2)
    result = train(tiny_learner, config, tiny, Watch(batches.append, epochs.append))
    assert [(now.epoch, now.batch) for now in batches] == [
        (e, b) for e in (1, 2) for b in (1, 2, 3, 4)
    ]
    assert {now.batches for now in batches} == {4}
    assert tuple(epochs) == result.epochs
    assert batches[3].loss == epochs[0].train_loss
    again = train(tiny_learner, config, tiny)
    same = zip(jax.tree.leaves(result.network), jax.tree.leaves(again.network), strict=True)
    assert all((a == b).all() for a, b in same), "the same seed must give the same weights"
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(result.network))
    assert 3 * weights < result.memory_bytes < 1e6  # weights and two moments of Adam


def test_a_curriculum_grows_between_epochs_and_says_where_it_stands():
    """A threshold that any loss is below: a level more each epoch, up to the longest."""
    task = copy_curriculum(CopyCurriculum(longest=3, threshold=99.0), count=8, test_count=4)
    config = learning(replace(TINY, task="copy_curriculum"), epochs=4)
    result = train(build_learner(config, task), config, task)
    assert [epoch.level for epoch in result.epochs] == [1, 2, 3, 3]
    assert result.floors == {"no memory": pytest.approx(0.6931, abs=1e-4)}
    assert all(0 <= epoch.test_accuracy <= 1 for epoch in result.epochs)
    frozen = copy_curriculum(CopyCurriculum(longest=3, threshold=1e-9), count=8, test_count=4)
    result = train(build_learner(config, frozen), learning(config, epochs=2), frozen)
    assert [epoch.level for epoch in result.epochs] == [1, 1]


def test_peak_memory_is_that_of_the_compiled_function():
    def grow(x):
        return x + 1.0

    plain = jax.jit(grow).lower(jnp.zeros(1000)).compile()
    in_place = jax.jit(grow, donate_argnums=0).lower(jnp.zeros(1000)).compile()
    assert peak_memory(plain) == 16000
    assert peak_memory(in_place) == 8000


def test_a_rate_that_is_too_high_stops_training_by_name(tiny):
    config = learning(TINY, learning_rate=1e308)
    with pytest.raises(NotFiniteError) as caught:
        train(build_learner(config, tiny), config, tiny)
    assert str(caught.value) == (
        "Training stopped in epoch 1, batch 1: the update before step 8, layers.0.input: its "
        "weight is not finite. Lower the learning rate or the gains of the weights."
    )


def network() -> tg.Network:
    return tg.Network(
        tg.Layer(tg.Dense(6, 4), tg.CubaLIF()),
        tg.Layer(tg.Dense(4, 3), tg.LIF()),
        readout=tg.Readout(3, 2),
        dt=1e-3,
    ).init(random.key(0))


def suspects(task: Task, **changes) -> Suspects:
    batch = on_device(next(task.train.batches(4, None))).real
    net = network()
    return Suspects(batch, net, net, jnp.zeros((9, 4, 2)))._replace(**changes)


def poisoned(batch: Batch, name: str, at: tuple) -> Batch:
    values = getattr(batch, name)
    return batch._replace(**{name: values.at[at].set(jnp.inf)})


def test_bad_input_is_named(tiny):
    case = suspects(tiny)
    case = case._replace(batch=poisoned(case.batch, "xs", (3, 1, 0)))
    with pytest.raises(NotFiniteError, match="in here: step 3, data: the input is not finite"):
        raise blame(case, "here")


def test_the_first_bad_state_is_named(tiny):
    net = network()
    huge = jax.tree.map(jnp.copy, net)
    layers = huge.layers[1].input
    object.__setattr__(layers, "weight", jnp.full((3, 4), jnp.inf))
    with pytest.raises(NotFiniteError, match=r"step \d, layers.1: its v is not finite"):
        raise blame(suspects(tiny, before=huge), "here")


def test_bad_weights_are_named_with_the_step(tiny):
    net = network()
    object.__setattr__(net.readout.input, "weight", jnp.full((2, 3), jnp.nan))
    outputs = jnp.zeros((9, 4, 2)).at[5:].set(jnp.nan)
    with pytest.raises(NotFiniteError, match="update before step 5, readout.input: its weight"):
        raise blame(suspects(tiny, after=net, outputs=outputs), "here")
    with pytest.raises(NotFiniteError, match="the last update, readout.input: its weight"):
        raise blame(suspects(tiny, after=net), "here")


def test_a_bad_optimiser_is_named(tiny):
    with pytest.raises(NotFiniteError, match="the optimiser: its state is not finite"):
        raise blame(suspects(tiny), "here")


def test_finite_looks_at_reals_only():
    assert all_finite((jnp.zeros(2), jnp.zeros((), jnp.int32)))
    assert not all_finite((jnp.zeros(2), jnp.asarray([1.0, jnp.nan])))
    assert not all_finite(jnp.asarray(jnp.inf))
