"""Parts by lag: they equal the Jacobian with respect to one copy of the weights for each step."""

from functools import cache

import jax
import jax.numpy as jnp
import pytest
from jax import lax, random

import oracle
import tracegrad as tg
from claims import EXACT, assert_alive, block, network
from tracegrad.inspect.lag import exact_by_lag, rule_by_lag
from tracegrad.learn.plans.plan import Data

STEPS, FEW = 7, 3
LOSS = tg.losses.mean_squared_error()
NET = network(tg.ALIF(tau_mem=10e-3, tau_adapt=20e-3))
DATA = Data(
    random.bernoulli(random.key(1), 0.5, (STEPS, 2, 4)).astype(float),
    random.normal(random.key(2), (STEPS, 2, 2)),
    random.uniform(random.key(3), (STEPS, 2)).at[2].set(0.0),
    None,
)
rules = tg.rules


def losses(nets, cut):
    """Loss of every step as a function of the weights of every step, dropped edges cut."""

    def body(states, now):
        net, x, target, weight = now
        circuit = net.discretise() if cut is None or cut.reset else net.discretise().detach_reset()
        if cut is None:
            after = circuit.step(states, x, circuit.stages[0].feedforward(x)).after
        else:
            hidden = oracle._layer(circuit.stages[0], cut, states[0], x)
            readout = circuit.stages[1]
            current = hidden.z @ readout.matrix.T + readout.bias["current"][None]
            after = (hidden, readout.cell(readout.coefficients, states[1], {"current": current}))
        return after, jnp.sum(weight * LOSS.at_step(after[-1].z, target)) / weight.shape[0]

    first = jax.tree.map(lambda leaf: leaf[0], nets)
    return lax.scan(body, first.discretise().rest(2), (nets, *DATA[:3]))[1]


@cache
def jacobian(cut):
    """Derivative of the loss of step t for the weights of step s, every leaf (t, s, ...)."""
    nets = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (STEPS, *leaf.shape)), NET)
    return jax.jit(jax.jacrev(lambda nets: losses(nets, cut)))(nets)


def expected(cut, lags):
    def sums(leaf):
        parts = [
            sum((leaf[s + lag, s] for s in range(STEPS - lag)), start=jnp.zeros_like(leaf[0, 0]))
            for lag in range(STEPS)
        ]
        older = sum(parts[lags:], start=jnp.zeros_like(parts[0]))
        return jnp.stack([*parts[:lags], older])

    return jax.tree.map(sums, jacobian(cut))


@cache
def by_lag(make, lags):
    return jax.jit(lambda net: rule_by_lag(net, make(), LOSS, (DATA, ()), lags))(NET)


def off(ours, theirs):
    """Largest difference of each parameter, relative to its largest entry."""
    names = jax.tree.leaves(NET.names())
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return {
        name: float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)))
        for name, (a, b) in zip(names, pairs, strict=False)
    }


def test_the_network_spikes():
    assert_alive(NET, block(NET, rules.bptt(), data=DATA).rates)


@pytest.mark.parametrize("lags", [FEW, STEPS])
def test_exact_parts_are_derivatives_for_the_weights_of_one_step(lags):
    ours = jax.jit(lambda net: exact_by_lag(net, LOSS, DATA, lags))(NET)
    assert max(off(ours, expected(None, lags)).values()) < EXACT


CUTS = [(rules.block_diagonal, oracle.STRICT), (rules.eprop, oracle.IMPLICIT)]


@pytest.mark.parametrize(("make", "cut"), [(rules.rtrl, None), *CUTS])
def test_parts_of_a_rule_are_those_derivatives_with_its_edges_cut(make, cut):
    assert max(off(by_lag(make, FEW), expected(cut, FEW)).values()) < EXACT


@pytest.mark.parametrize(("make", "cut"), CUTS)
def test_an_approximation_is_exact_at_lag_0_and_not_at_lag_2(make, cut):
    ours, exact = by_lag(make, FEW), expected(None, FEW)
    ours, exact = (tree.layers[0].input.weight for tree in (ours, exact))
    apart = jnp.max(jnp.abs(ours - exact), axis=(1, 2)) / jnp.max(jnp.abs(exact), axis=(1, 2))
    assert apart[0] < EXACT and apart[2] > 1e-3


# One rule of every kind of influence, and one with a signal that remembers.
KINDS = (rules.bptt, rules.future_bptt, rules.rtrl, rules.block_diagonal, rules.sltt)


@pytest.mark.parametrize("make", KINDS)
def test_the_parts_sum_to_the_gradient(make):
    whole = block(NET, make(), data=DATA).gradient
    parts = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), by_lag(make, FEW))
    assert max(off(parts, whole).values()) < EXACT


def test_every_lag_of_a_whole_block_leaves_nothing_older():
    for leaf in jax.tree.leaves(by_lag(rules.eprop, STEPS)):
        assert not jnp.any(leaf[-1]) and jnp.any(leaf[0])
