"""Steps in one turn of a loop change nothing but the program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import tracegrad as tg
from tracegrad.learn.losses import cross_entropy
from tracegrad.model.over_time import IN_A_TURN, over_time

STEPS = 13


def turns(function, *args) -> list[int]:
    """Steps in a turn of every loop of a function."""
    return [e.params["unroll"] for e in jax.make_jaxpr(function)(*args).eqns if "scan" in str(e)]


def summed(xs, reverse=False, inside=1):
    return over_time(lambda total, x: (total + x, total * x), jnp.zeros(()), xs, reverse, inside)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_of_several_steps_a_turn_gives_the_same(monkeypatch, reverse):
    xs = jnp.arange(1.0, STEPS + 1)
    plain = summed(xs, reverse)
    monkeypatch.setitem(IN_A_TURN, jax.default_backend(), 5)
    for found, expected in zip(summed(xs, reverse), plain, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_steps_in_a_turn_follow_the_backend_and_what_an_entry_holds(monkeypatch):
    xs = jnp.ones(STEPS)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert turns(lambda xs: summed(xs), xs) == [10]
    assert turns(lambda xs: summed(xs, inside=4), xs) == [2]
    assert turns(lambda xs: summed(xs, inside=100), xs) == [1]
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert turns(lambda xs: summed(xs), xs) == [1]


@pytest.mark.parametrize("every", [None, 1, 3])
def test_a_learner_learns_the_same(monkeypatch, every):
    """Whatever the plan: forward and back for whole sequences, step by step for the others."""

    def weights():
        layer = tg.Layer(tg.Dense(7, 6), tg.LIF(v_threshold=0.3), recurrent=tg.Dense(6, 6))
        net = tg.Network(layer, readout=tg.Readout(6, 3), dt=1e-3).init(jax.random.key(1))
        learner = tg.Learner(
            net, tg.rules.block_diagonal(), cross_entropy(), optax.sgd(0.1), update_every=every
        )
        xs = jax.random.bernoulli(jax.random.key(2), 0.5, (12, 2, 7)).astype(float)
        ys, weight = jnp.ones((12, 2), jnp.int32), jnp.full((12, 2), 1.0)
        state = learner.init(jax.random.key(0), 2)
        state, info = learner.run(state, xs, ys, weight)
        assert all(float(rate.mean()) > 0.05 for rate in info.rates)
        return jax.tree.leaves(state.network.learning())

    plain = weights()
    monkeypatch.setitem(IN_A_TURN, jax.default_backend(), 5)
    jax.clear_caches()
    for found, expected in zip(weights(), plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
