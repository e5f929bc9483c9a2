"""Mismatch: its statistics, what the rule may know of it, and learning on such a device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from claims import network
from tracegrad.substrate.mismatch import Mismatch
from tracegrad.substrate.substrate import Placed, Substrate

N = 4000


def wide(n=N, m=3):
    layer = tg.Layer(tg.Dense(m, n, bias=True), tg.CubaLIF(), recurrent=None)
    return tg.Network(layer, readout=tg.Readout(n, 2), dt=1e-3).init(random.key(0))


def device(mismatch, net):
    return Substrate("device", mismatch=mismatch).place(net, (), random.key(0))[2]


def within(values, mean, sigma, spread):
    """Mean and standard deviation as they should be, within 4 standard errors."""
    n = values.size
    assert abs(values.mean() - mean) < 4 * sigma / n**0.5
    assert abs(values.std() - sigma) < 4 * sigma * spread / (2 * n) ** 0.5


def test_time_constants_thresholds_and_gains_are_lognormal():
    net = wide()
    mismatch = Mismatch(time_constants=0.2, thresholds=0.1, gains=0.3)
    placed = device(mismatch, net)
    true = mismatch.true(net, 0, placed.device)
    log = {name: np.asarray(getattr(true, name).log) for name in ("tau_mem", "tau_syn")}
    within(log["tau_mem"] - np.log(20e-3), 0.0, 0.2, 1)
    within(np.asarray(true.v_threshold.log), 0.0, 0.1, 1)
    assert abs(np.corrcoef(log["tau_mem"], log["tau_syn"])[0, 1]) < 4 / N**0.5
    read = mismatch.read(net, placed.device)
    ratio = np.asarray(read.layers[0].input.weight / net.layers[0].input.weight)
    assert np.allclose(ratio, ratio[:, :1]), "a neuron has one gain"
    within(np.log(ratio[:, 0]), 0.0, 0.3, 1)


def test_synapses_read_noise_and_the_dead():
    net = wide(400, 30)
    weight = np.asarray(net.layers[0].input.weight)

    def ratio(mismatch, placed=None):
        placed = placed or device(mismatch, net)
        return np.asarray(mismatch.read(net, placed.device).layers[0].input.weight) / weight

    within(np.log(ratio(Mismatch(weights=0.1))).ravel(), 0.0, 0.1, 1)
    dead = ratio(Mismatch(dead_synapses=0.25)) == 0
    assert abs(dead.mean() - 0.25) < 4 * (0.25 * 0.75 / dead.size) ** 0.5
    noisy = Mismatch(read_noise=0.05)
    placed = device(noisy, net)
    first = ratio(noisy, placed)
    within(first.ravel() - 1, 0.0, 0.05, 1)
    assert np.array_equal(first, ratio(noisy, placed)), "the same reading"
    aged = placed._replace(device=noisy.age(placed.device, 1, 1e-3))
    assert abs(np.corrcoef(first.ravel(), ratio(noisy, aged).ravel())[0, 1]) < 4 / first.size**0.5


def test_dead_neurons_never_spike():
    net = network(tg.LIF(tau_mem=10e-3))
    read = Substrate("d", mismatch=Mismatch(dead_neurons=0.5, seed=1))
    placed = read.place(net, (), random.key(0))[2]
    alive = np.asarray(placed.device.alive[0])
    assert 0 < alive.sum() < alive.size
    outputs = np.asarray(read.read(net, placed)(claims.inputs())[0][0])
    assert np.all(outputs[..., alive == 0] == 0) and np.any(outputs[..., alive == 1])
    assert np.all(np.asarray(placed.device.alive[1]) == 1), "readout units live"


def test_drift_is_a_random_walk():
    net, drift = wide(), Mismatch(drift=0.1)
    made = device(drift, net).device
    aged = made
    for _ in range(4):
        aged = drift.age(aged, 500, 1e-3)
    walked = np.asarray(aged.logs["layers.0.neuron.tau_mem"])
    assert not np.any(made.logs["layers.0.neuron.tau_mem"])
    within(walked, 0.0, 0.1 * 2**0.5, 1)  # after two seconds


def test_lost_and_jittered_spikes():
    xs = jnp.zeros((60, 50, 20)).at[30].set(1.0)
    kept = np.asarray(Mismatch(lost_spikes=0.2).disturb(xs, random.key(0)))
    n = 1000
    assert abs(kept.sum() / n - 0.8) < 4 * (0.16 / n) ** 0.5
    moved = np.asarray(Mismatch(jitter=3.0).disturb(xs, random.key(0)))
    assert moved.sum() == n
    steps = np.repeat(np.arange(60), moved.sum(axis=(1, 2)).astype(int)) - 30
    assert abs(steps.mean()) < 4 * 3 / n**0.5
    assert abs(steps.std() - (9 + 1 / 12) ** 0.5) < 4 * 3 / (2 * n) ** 0.5
    edge = jnp.zeros((4, 50, 20)).at[0].set(1.0)
    left = float(jnp.sum(Mismatch(jitter=3.0).disturb(edge, random.key(0))))
    assert 100 < left < 900, "what leaves the block is lost"


def test_the_rule_knows_nominal_values_only_or_the_true_ones():
    """Values come from the true time constants in both; derivatives from what the rule knows."""
    net = network(tg.LIF(tau_mem=10e-3, normalised=False)).freeze("*.neuron.*")
    rule = tg.rules.eprop()
    outcomes = {}
    for known in (False, True):
        flawed = Substrate("f", mismatch=Mismatch(time_constants=0.4, known=known))
        read = flawed.read(net, flawed.place(net, (), random.key(0))[2])
        outcomes[known] = claims.block(read, rule)
    claims.assert_alive(net, outcomes[True].rates)
    assert np.array_equal(outcomes[False].outputs, outcomes[True].outputs)
    a, b = (outcomes[k].gradient.layers[0].input.weight for k in (False, True))
    assert float(jnp.max(jnp.abs(a - b))) > 1e-3 * float(jnp.max(jnp.abs(b)))
    # One step: the derivative of v by its own past is the nominal decay, its value the true one.
    flawed = Substrate("f", mismatch=Mismatch(time_constants=0.4))
    stage = flawed.read(net, flawed.place(net, (), random.key(0))[2]).discretise().stages[0]
    c = {name: value[0] for name, value in stage.coefficients.items()}

    def after(v):
        return stage.neuron.step(c, {"v": v}, jnp.zeros(()), jnp.zeros(()))["v"]

    value, slope = jax.value_and_grad(after)(jnp.asarray(0.5))
    assert float(slope) == pytest.approx(float(np.exp(-0.1)), rel=1e-12)
    assert float(value) == pytest.approx(0.5 * float(c["true.alpha"]), rel=1e-12)
    assert abs(float(c["true.alpha"]) - float(np.exp(-0.1))) > 1e-3


def test_a_learner_learns_on_a_flawed_device():
    net = network(tg.LIF(tau_mem=10e-3)).freeze("*.neuron.*")
    flawed = Substrate("f", mismatch=Mismatch(0.2, 0.2, 0.2, read_noise=0.01, drift=0.1))
    rule, loss = tg.rules.eprop(), tg.losses.mean_squared_error()
    made = tg.Learner(net, rule, loss, optax.sgd(0.02), 5).on(flawed)
    state = made.init(random.key(0), claims.BATCH)
    losses = []
    for _ in range(8):
        state, info = made.run(state, claims.inputs(), claims.targets())
        losses.append(float(info.loss))
    assert losses[-1] < 0.9 * losses[0]
    assert int(state.placed.device.steps) == 8 * claims.STEPS


def test_refusals():
    with pytest.raises(ValueError, match="dead_synapses must be from 0 to 1.0, got 1.5"):
        Mismatch(dead_synapses=1.5)
    assert Placed() == Placed((), ())
