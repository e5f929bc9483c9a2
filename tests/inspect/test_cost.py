"""Costs equal a count by hand: every neuron and every synapse of every step, one by one."""

import math
from collections import Counter
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.inspect import Teaching, cost
from tracegrad.model.linear_map import as_matrix

STEPS, BATCH, LINES, SIZE, OUTPUTS, DT = 12, 3, 5, 6, 2, 1e-3
WIDTH = 0.3  # of the boxcar: outside of it the surrogate is exactly zero


def lif(tau):
    return tg.LIF(tau_mem=tau, surrogate=tg.Boxcar(half_width=WIDTH))


@cache
def blank():
    """Two layers, the first recurrent, and which of their numbers are weights."""
    made = tg.Network(
        tg.Layer(tg.Dense(LINES, SIZE, bias=True), lif(8e-3), tg.Dense(SIZE, SIZE)),
        tg.Layer(tg.Sparse.from_mask(np.tri(4, SIZE, 2, bool)), lif(4e-3)),
        readout=tg.Readout(4, OUTPUTS, tau=5e-3),
        dt=DT,
    )
    made = made.init(jax.random.key(0))
    return made, jax.tree.map(lambda name: name.endswith("weight"), made.names())


def network(seed):
    """The same with weights of which a third is zero."""
    rng = np.random.default_rng(seed)

    def drawn(leaf, weight):
        values = rng.normal(0.4, 1.0, leaf.shape) * (rng.random(leaf.shape) > 0.3)
        return jnp.asarray(values) if weight else leaf

    return jax.tree.map(drawn, *blank())


class Hand:
    """The same network in plain Python, that counts as it goes."""

    def __init__(self, net):
        stages = net.discretise().stages
        self.below = [np.asarray(as_matrix(next(iter(s.weight.values())))) for s in stages]
        places = net.layers[1].input.places.index
        there = np.zeros((4, SIZE), bool)
        for row, lines in zip(there, places, strict=True):
            row[[line for line in lines if line < SIZE]] = True
        self.there = [np.ones_like(self.below[0], bool), there, np.ones((OUTPUTS, 4), bool)]
        self.back = [np.asarray(net.layers[0].recurrent.weight), None, None]
        self.bias = np.asarray(net.layers[0].input.bias)
        self.decay = [math.exp(-1 / 8), math.exp(-1 / 4), math.exp(-1 / 5)]
        self.count = Counter()

    def joins(self, stage, below, own):
        """Weights, where there are synapses, and what comes in, of each connection of a stage."""
        yield self.below[stage], self.there[stage], below
        if self.back[stage] is not None:
            yield self.back[stage], np.ones_like(self.back[stage], bool), own

    def sample(self, xs, learns, resolution):
        """Run one sample; `xs` holds its valid steps only."""
        sizes = [SIZE, 4, OUTPUTS]
        v, z = [np.zeros(n) for n in sizes], [np.zeros(n) for n in sizes]
        traces = [[np.zeros(LINES), np.zeros(SIZE)], [np.zeros(SIZE)], [np.zeros(4)]]
        for x, teaches in zip(xs, learns, strict=True):
            below = x
            for k in range(3):
                current = np.zeros(sizes[k])
                for join, (w, there, line) in enumerate(self.joins(k, below, z[k].copy())):
                    self.operations(w, there, line, binary=k > 0 or join > 0)
                    current += w @ line
                    traces[k][join] = self.decay[k] * traces[k][join] + line
                    self.count["traces"] += len(line)
                self.neuron(k, v, z, current)
                below = z[k]
                if teaches:
                    self.updates(k, v[k], traces[k], resolution)

    def operations(self, w, there, line, binary):
        for j in range(len(w)):
            for i in range(len(line)):
                if there[j, i]:
                    self.count["dense"] += 1
                    if line[i] != 0 and w[j, i] != 0:
                        self.count["ac" if binary else "input"] += 1

    def neuron(self, k, v, z, current):
        gain = 1 - self.decay[2] if k == 2 else 1.0
        for j in range(len(current)):
            before, self.count["neurons"] = v[k][j], self.count["neurons"] + 1
            bias = self.bias[j] if k == 0 else 0.0
            v[k][j] = self.decay[k] * before + gain * (current[j] + bias) - (k < 2) * z[k][j]
            self.count["moved"] += v[k][j] != before
        if k < 2:
            z[k] = (v[k] > 1.0).astype(float)
            self.count["silent"] += int((z[k] == 0).sum())
            self.count["outputs"] += len(z[k])

    def updates(self, k, v, traces, resolution):
        opened = [k == 2 or abs(v[j] - 1.0) <= WIDTH for j in range(len(v))]
        if k < 2:
            self.count["feedback"] += sum(opened) * OUTPUTS
        joins = [self.there[k]] + ([np.ones((SIZE, SIZE), bool)] if k == 0 else [])
        for there, trace in zip(joins, traces, strict=True):
            for j in range(len(v)):
                for i in range(len(trace)):
                    active = there[j, i] and opened[j] and abs(trace[i]) > resolution
                    self.count["updates"] += int(active)


@pytest.mark.parametrize(("binary", "resolution"), [(True, 0.0), (False, 0.0), (True, 0.3)])
def test_costs_equal_a_count_by_hand(binary, resolution):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        net, lengths = network(seed), rng.integers(5, STEPS + 1, BATCH)
        xs = (rng.random((STEPS, BATCH, LINES)) < 0.3) * (1.0 if binary else 0.5)
        valid = np.arange(STEPS)[:, None] < lengths
        learns = rng.random((STEPS, BATCH)) < 0.6
        teaching = Teaching(learns, resolution, stored=2, stochastic=True)
        found = cost(net, jnp.asarray(xs), valid, teaching)
        hand = Hand(net)
        for b, length in enumerate(lengths):
            hand.sample(xs[:length, b], learns[:length, b], resolution)
        n = {name: total / BATCH for name, total in hand.count.items()}
        assert hand.count["outputs"] - hand.count["silent"] > 20, "neurons must spike"
        assert 0 < n["updates"] and 0 < n["feedback"] < OUTPUTS * 10 * STEPS
        operations, learning = found.synaptic_operations, found.learning
        acs, macs = (n["ac"] + n["input"], 0.0) if binary else (n["ac"], n["input"])
        assert operations.Effective_ACs == pytest.approx(acs)
        assert operations.Effective_MACs == pytest.approx(macs)
        assert operations.Dense == pytest.approx(n["dense"])
        assert found.activation_sparsity == pytest.approx(n["silent"] / n["outputs"])
        assert found.membrane_updates == pytest.approx(n["moved"])
        assert learning.neuron_updates == pytest.approx(n["neurons"])
        assert learning.trace_macs == pytest.approx(n["traces"])
        assert learning.feedback_macs == pytest.approx(n["feedback"])
        assert learning.weight_updates == pytest.approx(n["updates"])
        assert learning.random_draws == learning.weight_updates
        assert learning.words_moved == pytest.approx(7 * n["updates"])


def test_footprint_and_connection_sparsity():
    net = network(0)
    found = cost(net, jnp.zeros((2, 1, LINES)))
    weights = [net.layers[0].input.weight, net.layers[0].recurrent.weight, net.readout.input.weight]
    listed = np.asarray(net.layers[1].input.weight)[net.layers[1].input.places.index < SIZE]
    every = np.concatenate([np.ravel(w) for w in (*weights, listed)])
    assert found.connection_sparsity == pytest.approx((every == 0).mean())
    padded = 4 * SIZE  # the sparse connection keeps its lists filled up
    parameters = 5 * 6 + 6 + 36 + padded + 8 + 2 + 2 + 1
    assert found.footprint == 8 * parameters
    assert found.state_bytes == 8 * 2 * (SIZE + 4 + OUTPUTS)
    assert found.samples == 1 and found.steps == 2


def test_a_kernel_counts_once_and_its_synapses_at_every_place():
    conv = tg.Conv((1, 4, 4), channels=2, kernel=2, stride=2)
    pool = tg.Pool(conv.out_shape, kernel=2, gain=2.0)
    net = tg.Network(
        tg.Layer(conv, tg.IF()),
        tg.Layer(pool, tg.IF()),
        readout=tg.Readout(2, 3, tau=None),
        dt=DT,
    ).init(jax.random.key(0))
    kernel = jnp.asarray([[[[1.5, 0.0], [2.0, 0.0]]], [[[0.0, 1.0], [0.0, 1.0]]]])
    net = eqx.tree_at(lambda n: n.layers[0].input.weight, net, kernel)
    found = cost(net, jnp.ones((1, 1, 16)))
    assert found.connection_sparsity == pytest.approx(4 / (8 + 6))
    # 16 lines on 2 channels once each, half of the kernel zero; 8 neurons of which all spike.
    assert found.synaptic_operations.Effective_ACs == 16 + 8 + 2 * 3
    assert found.synaptic_operations.Dense == 32 + 8 + 6
    assert found.learning.weight_updates == 32 + 8 + 6
    assert found.activation_sparsity == 0.0


def test_without_a_valid_step_there_is_nothing_to_count():
    with pytest.raises(ValueError, match="must have at least one valid step, got none"):
        cost(network(0), jnp.zeros((2, 1, LINES)), np.zeros((2, 1), bool))
