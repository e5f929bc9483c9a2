"""Claims for random architectures: rtrl is BPTT, and block rules are AD with dropped edges cut.

Every sequence is two blocks, with padding anywhere, so traces cross a boundary in each network.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax, random

import claims
import oracle
import tracegrad as tg
from architectures import blocks, build, draw, spikes
from claims import EXACT
from numpy_program import Program
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules = tg.rules
SHARDS, NETWORKS = 8, 26  # 208 networks
LOSS = tg.losses.mean_squared_error(tg.RateRegulariser(strength=2.0, target=0.1))
NOTHING = 1e-14  # of the largest gradient: a parameter that has less has none but for rounding


def learned(plan, circuit, data):
    """A plan's gradient over the blocks of a sequence."""

    def whole(circuit, data):
        def body(stream, block):
            outcome = plan.block(circuit, (), stream, block)
            return outcome.stream, outcome.gradient

        start = plan.rest(circuit, data.xs.shape[1], random.key(0))
        gradients = lax.scan(body, start, blocks(data))[1]
        return jax.tree.map(lambda g: jnp.sum(g, axis=0), gradients)

    return Program(whole, circuit, data)(circuit, data)


def asked(case, cut=None):
    """The oracle's gradient; without a cut that of plain AD."""

    def whole(net, packed):
        if cut is None:
            return oracle.exact(net, LOSS, *packed)
        return oracle.gradient(net, cut, LOSS, *packed)

    return Program(whole, case.net, case.packed)(case.net, case.packed)


def differences(ours, theirs):
    """Largest difference of each parameter's gradient, relative to its largest entry."""
    leaves = list(map(jax.tree.leaves, (theirs.names(), ours, theirs)))
    floor = NOTHING / EXACT * max(np.max(np.abs(leaf)) for leaf in leaves[2])
    return {
        name: np.max(np.abs(a - b)) / max(np.max(np.abs(b)), floor)
        for name, a, b in zip(*leaves, strict=True)
    }


def assert_same(ours, theirs):
    off = {name: d for name, d in differences(ours, theirs).items() if not d <= EXACT}
    assert not off, f"gradients differ: {off}"


def check(case, plan_of_eprop):
    """The claims for one network; whether it shows that block_diagonal drops something."""
    net, circuit = case.net, Program(tg.Network.discretise, case.net)(case.net)
    back = Program(pull_back, net, circuit)

    def gradient(plan, rule):
        return back(net, learned(plan(rule, LOSS), circuit, case.data))

    exact, strict, implicit = asked(case), asked(case, oracle.STRICT), asked(case, oracle.IMPLICIT)
    assert_same(gradient(Step, rules.rtrl()), exact)
    assert_same(gradient(Step, rules.block_diagonal()), strict)
    assert_same(gradient(Chunk, rules.block_diagonal()), strict)
    assert_same(gradient(plan_of_eprop, rules.eprop()), implicit)
    return max(differences(strict, exact).values()) > 1e-3


def check_all(numbers):
    """The claims for every network, and that enough of them could show that a claim is false."""
    coupled, spiking, differs = [], [], []
    for number in numbers:
        architecture, rng = draw(number)
        case = build(architecture, rng)
        layers = case.net.layers
        coupled.append(any(x.recurrent is not None and x.input.outputs > 1 for x in layers))
        spiking.append(any(map(spikes, layers)))
        try:
            differs.append(check(case, (Step, Chunk)[number // 2 % 2]))
        except AssertionError as error:
            error.add_note(f"network {number}: {architecture}")
            raise
    assert np.mean(spiking) > 0.5 and np.mean(coupled) > 0.3
    assert np.mean(np.array(differs)[coupled]) > 0.8, "block_diagonal must drop something of most"


def test_claims_hold_for_some_networks(as_user):
    check_all(range(SHARDS * NETWORKS, SHARDS * NETWORKS + 6))


@pytest.mark.properties
@pytest.mark.parametrize("shard", range(SHARDS))
def test_claims_hold_for_many_networks(shard, as_user):
    check_all(range(shard, SHARDS * NETWORKS, SHARDS))


def test_numpy_runs_a_program_as_jit_does():
    """One whole rule, with scans, products, surrogates and indexing."""
    net = claims.network(tg.ALIF(refractory_steps=3), tg.GRU())
    plan = Chunk(rules.block_diagonal(), LOSS)
    data = Data(claims.inputs(5), claims.targets(5), claims.weights(5), jnp.ones((5, 2), bool))

    def outcome(net, data):
        circuit = net.discretise()
        return plan.block(circuit, (), plan.rest(circuit, 2, random.key(0)), data)

    ours, theirs = Program(outcome, net, data)(net, data), jax.jit(outcome)(net, data)
    for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert any(np.any(leaf) for leaf in jax.tree.leaves(ours.gradient))
