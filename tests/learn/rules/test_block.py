"""The locality dial: block, snap and ostl are one masked influence, exact where they should be."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax import random

import claims
import pairs_oracle
import tracegrad as tg
from claims import assert_differ, assert_equal, network
from tracegrad.learn.influences.masked import kept_pairs
from tracegrad.learn.influences.pattern import AbstractPattern, Labelled, connections
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules = tg.rules
LOSS = tg.losses.mean_squared_error(tg.RateRegulariser(strength=2.0, target=0.1))
EVERY = {"one": 0, "all": 1, "mixed": 2, "layers": 3, "snap2": 4, "snap3": 5}
NETWORKS = {
    "flat": network(tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0)),
    "deep": network(tg.LIF(tau_mem=10e-3), tg.LIF(tau_mem=6e-3), all_layers=True),
}


def _sparse(net):
    """Zeros in the recurrent weights, so that reachability has something to say."""

    def next_two(n):
        return jnp.roll(jnp.eye(n), 1, axis=0) + jnp.roll(jnp.eye(n), 2, axis=0)

    ring = [next_two(layer.input.outputs) for layer in net.layers]
    where = [layer.recurrent.weight * r for layer, r in zip(net.layers, ring, strict=True)]
    return eqx.tree_at(lambda n: [la.recurrent.weight for la in n.layers], net, where)


class _Given(AbstractPattern):
    """A pattern of which the tests say themselves what it keeps."""

    pairs: jax.Array

    def check(self, network):
        pass

    def kept(self, circuit):
        return self.pairs


def _labels(net, kind):
    sizes = [layer.input.outputs for layer in net.layers] + [claims.OUTPUTS]
    mixed = [[(i + stage) % 3 for i in range(n)] for stage, n in enumerate(sizes)]
    return {
        "all": [[0] * n for n in sizes],
        "mixed": mixed,
        "layers": [[stage] * n for stage, n in enumerate(sizes)],
    }[kind]


def _patterns(net):
    """The patterns of the named rules."""
    made = [
        rules.block(),
        rules.block(_labels(net, "all")),
        rules.block(_labels(net, "mixed")),
        rules.ostl(filter=tg.Kappa()),
        rules.snap(2),
        rules.snap(3),
    ]
    return jnp.stack([rule.influence.pattern.kept(net.discretise()) for rule in made])


@cache
def _results(name):
    """Gradients of the masked influence and of the oracle for every pattern; one compilation."""
    net = _sparse(NETWORKS[name])
    data = Data(claims.inputs(), claims.targets(), claims.weights(), None)
    blank = rules.block(_labels(net, "mixed"))
    plan = Step(blank, LOSS)

    @jax.jit
    def compute(net, pairs):
        circuit = net.discretise()
        stream = plan.rest(circuit, claims.BATCH, random.key(0))
        masks = kept_pairs(_Given(pairs), circuit, claims.BATCH)
        memory = tuple(m._replace(kept=k) for m, k in zip(stream.memory, masks, strict=True))
        signal = tuple(jnp.concatenate(kept, axis=-1) for kept in masks)
        outcome = plan.block(circuit, (), stream._replace(memory=memory, signal=signal), data)
        theirs = pairs_oracle.gradient(net, pairs, LOSS, data.xs, data.ys, data.weight)
        return pull_back(net, outcome.gradient), theirs, outcome.rates

    ours, theirs, rates = jax.vmap(lambda p: compute(net, p))(_patterns(net))
    claims.assert_alive(net, [rate[0] for rate in rates])
    cut = [jax.tree.map(lambda a, i=i: a[i], (ours, theirs)) for i in EVERY.values()]
    return net, dict(zip(EVERY, cut, strict=True))


each = pytest.mark.parametrize("name", NETWORKS)


@each
def test_every_pattern_is_ad_with_the_dropped_connections_cut(name):
    _, found = _results(name)
    for ours, theirs in found.values():
        assert_equal(ours, theirs)


@each
def test_the_ends_of_the_dial_are_block_diagonal_and_bptt(name):
    net, found = _results(name)
    assert_equal(found["one"][0], claims.gradient(net, rules.block_diagonal(), loss=LOSS))
    exact = claims.gradient(net, rules.bptt(), loss=LOSS)
    assert_equal(found["all"][0], exact)
    for between in ("one", "mixed", "snap2"):
        assert_differ(found[between][0], exact, "layers.0.input.weight")
    for between in ("mixed", "snap2"):
        assert_differ(found[between][0], found["one"][0], "layers.0.input.weight")
    by_layer = found["layers"][0]
    if name == "flat":
        assert_equal(by_layer, exact)  # one recurrent layer: OSTL with H is BPTT
    else:
        assert_differ(by_layer, exact, "layers.0.recurrent.weight")


def test_the_named_rules_carry_their_patterns():
    """End to end through the rule, the planner and the memory it makes itself."""
    net, found = _results("flat")
    mixed = claims.gradient(net, rules.block(_labels(net, "mixed")), loss=LOSS)
    assert_equal(mixed, found["mixed"][0])


def test_reachability_follows_the_weights_that_are_not_zero():
    net = _sparse(NETWORKS["deep"])
    circuit = net.discretise()
    orders = [rules.snap(n).influence.pattern.kept(circuit) for n in (1, 2, 3, 20)]
    units = jnp.eye(len(orders[0]), dtype=bool)
    assert jnp.array_equal(orders[0], units)
    assert jnp.array_equal(orders[1], units | connections(circuit))
    assert bool(orders[1][2, 0]) and not bool(orders[1][3, 0]) and bool(orders[2][3, 0])
    # Saturated, a unit reaches its own layer and all above it; a readout unit only itself.
    stage = jnp.repeat(jnp.arange(3), jnp.array([5, 4, 2]))
    above, same = stage[:, None] > stage[None], stage[:, None] == stage[None]
    assert jnp.array_equal(orders[3], above | (same & (stage < 2)[None]) | units)


def test_groups_in_a_row_stay_within_a_layer():
    circuit = NETWORKS["deep"].discretise()
    kept = rules.block(2).influence.pattern.kept(circuit)
    given = Labelled(((0, 0, 1, 1, 2), (3, 3, 4, 4), (5, 6))).kept(circuit)
    assert jnp.array_equal(kept, given)


def test_wrong_groups_are_refused():
    net = NETWORKS["deep"]
    with pytest.raises(ValueError, match=r"one label for each unit .*\(5, 4, 2\), got \(5, 4\)"):
        rules.block([[0] * 5, [1] * 4]).check(net)
    with pytest.raises(ValueError, match="A block needs at least 1 neuron, got 0"):
        rules.block(0).check(net)
    with pytest.raises(ValueError, match="order of SnAp must be at least 1, got 0"):
        rules.snap(0).check(net)


def test_the_wider_the_blocks_the_closer_to_bptt():
    """Mean cosine to BPTT over draws of the weights rises with the size of the groups, to 1."""
    n, draws = 8, 64
    net = tg.Network(
        tg.Layer(tg.Dense(claims.INPUTS, n, gain=4.0), tg.LIF(tau_mem=10e-3), tg.Dense(n, n, 5.0)),
        readout=tg.Readout(n, claims.OUTPUTS, tau=5e-3),
        dt=1e-3,
    )
    data = Data(claims.inputs(), claims.targets(), claims.weights(), None)
    mse = tg.losses.mean_squared_error()
    plan = Step(rules.block(), mse)

    def gradients(key):
        drawn = net.init(key)
        circuit = drawn.discretise()
        stream = plan.rest(circuit, claims.BATCH, key)

        def of(pairs):
            masks = kept_pairs(_Given(pairs), circuit, claims.BATCH)
            memory = tuple(m._replace(kept=k) for m, k in zip(stream.memory, masks, strict=True))
            signal = tuple(jnp.concatenate(kept, axis=-1) for kept in masks)
            outcome = plan.block(circuit, (), stream._replace(memory=memory, signal=signal), data)
            stage = outcome.gradient.stages[0]
            found = [stage.weight["current"], stage.recurrent["current"]]
            return jnp.concatenate(found, axis=1).ravel(), jnp.mean(outcome.rates[0])

        return jax.vmap(of)(pairs)

    circuit = net.init(random.key(0)).discretise()
    sizes = (1, 2, 4, 8)
    pairs = jnp.stack([rules.block(size).influence.pattern.kept(circuit) for size in sizes])
    found, rates = jax.jit(jax.vmap(gradients))(random.split(random.key(3), draws))
    assert 0.1 < float(jnp.mean(rates)) < 0.6, "the networks must spike"
    exact = found[:, -1:]  # groups of 8 are the whole layer, and the filter is the readout's leak
    norms = jnp.linalg.norm(found, axis=-1) * jnp.linalg.norm(exact, axis=-1)
    cosine = jnp.mean(jnp.sum(found * exact, axis=-1) / norms, axis=0)
    assert jnp.all(jnp.diff(cosine) > 0.002), cosine
