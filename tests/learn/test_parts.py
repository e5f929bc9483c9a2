"""The parts of a rule on their own: losses, the rate regulariser, local derivatives."""

from inspect import signature

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import claims
import tracegrad as tg
from tracegrad.learn.filter import NoFilter
from tracegrad.learn.local import local
from tracegrad.learn.loss import loss_and_error

Y = jnp.array([[0.2, -1.0, 0.5], [1.0, 0.0, 0.0]])


def test_cross_entropy_by_hand():
    loss, error = loss_and_error(
        tg.losses.cross_entropy(), Y, jnp.array([2, 0]), jnp.array([1.0, 0.5])
    )
    p = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
    assert float(loss) == pytest.approx((-np.log(p[0, 2]) - 0.5 * np.log(p[1, 0])) / 2)
    one_hot = np.array([[0, 0, 1.0], [1.0, 0, 0]])
    np.testing.assert_allclose(error, (p - one_hot) * np.array([[0.5], [0.25]]), rtol=1e-12)


def test_squared_error_by_hand_and_weight_zero_hides_a_nan():
    target = jnp.zeros((2, 3))
    loss, error = loss_and_error(tg.losses.mean_squared_error(), Y, target, jnp.array([1.0, 1.0]))
    assert float(loss) == pytest.approx((0.04 + 1.0 + 0.25 + 1.0) / 4)
    np.testing.assert_allclose(error, Y / 2)
    broken = Y.at[1].set(jnp.nan)
    loss, _ = loss_and_error(tg.losses.mean_squared_error(), broken, target, jnp.array([1.0, 0.0]))
    assert float(loss) == pytest.approx((0.04 + 1.0 + 0.25) / 4)


def test_losses_refuse_targets_of_the_wrong_kind(as_user):
    with pytest.raises(TypeError, match="cross_entropy needs integer class targets"):
        tg.losses.cross_entropy().at_step(Y, Y)
    with pytest.raises(TypeError, match="mean_squared_error needs real targets of shape"):
        tg.losses.mean_squared_error().at_step(Y, Y[:, :1])


def test_rate_regulariser_by_hand():
    regulariser = tg.RateRegulariser(strength=3.0, target=0.1)
    count, steps = jnp.array([[2.0, 0.0], [5.0, 1.0]]), jnp.array([10.0, 20.0])
    rate = np.array([[0.2, 0.0], [0.25, 0.05]])
    assert float(regulariser.loss(count, steps)) == pytest.approx(
        1.5 * np.sum((rate - 0.1) ** 2) / 2
    )
    slope = jax.grad(lambda c: regulariser.loss(c, steps))(count)
    np.testing.assert_allclose(regulariser.error(count, steps), slope, rtol=1e-12)
    absent = regulariser.error(count, jnp.array([0.0, 20.0]))
    assert jnp.all(absent[0] == 0) and jnp.all(absent[1] != 0)


def test_local_derivatives_of_cuba_lif_are_those_of_the_equations():
    """own = [[alpha, 0], [(1-beta) alpha, beta]], echo = -theta on v, drive = (1, 1-beta)."""
    net = claims.network(tg.CubaLIF(tau_mem=10e-3, tau_syn=5e-3, v_threshold=0.8))
    stage = net.discretise().stages[0]
    state = jax.tree.map(
        lambda a: random.normal(random.key(a.size), a.shape), stage.rest(claims.BATCH)
    )
    currents = {"current": random.normal(random.key(0), state.z.shape)}
    here = local(stage, state, currents)
    alpha, beta, theta = np.exp(-1 / 5), np.exp(-1 / 10), 0.8

    def everywhere(value, expected):
        np.testing.assert_allclose(value, np.full(state.z.shape, expected), rtol=1e-12, atol=1e-15)

    everywhere(here.own["i_syn"]["i_syn"], alpha)
    everywhere(here.own["i_syn"]["v"], 0.0)
    everywhere(here.own["v"]["i_syn"], (1 - beta) * alpha)
    everywhere(here.own["v"]["v"], beta)
    everywhere(here.echo["v"], -theta)
    everywhere(here.echo["i_syn"], 0.0)
    everywhere(here.drive["i_syn"]["current"], 1.0)
    everywhere(here.drive["v"]["current"], 1 - beta)
    everywhere(here.emit["i_syn"], 0.0)
    assert jnp.all(here.emit["v"] > 0)
    np.testing.assert_allclose(here.gain["current"], here.emit["v"] * (1 - beta), rtol=1e-12)


@pytest.mark.parametrize("make", tg.rules.RULES, ids=lambda make: make.__name__)
def test_a_rule_is_made_of_the_parts_it_is_given(make):
    parts = {"signal": tg.signals.Uniform(), "filter": NoFilter()}
    given = {name: parts[name] for name in parts if name in signature(make).parameters}
    rule = make(**given)
    for name, part in given.items():
        got = getattr(rule, name)
        # SuperSpike's last layer hears its own error, and what is given is for the layers below.
        assert part in (got, getattr(got, "below", got)), f"{make.__name__} has {got} for {name}"
