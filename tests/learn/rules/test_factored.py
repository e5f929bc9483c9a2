"""Rules with factored or diagonal traces: sltt, ottt, es_d_rtrl, d_rtrl, rflo."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax, random

import claims
import tracegrad as tg
from claims import assert_differ, assert_equal, gradient, network
from tracegrad.inspect.locality import locality
from tracegrad.learn import needs
from tracegrad.learn.filter import NoFilter
from tracegrad.learn.loss import loss_and_error
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules, signals = tg.rules, tg.signals
LOSS = tg.losses.mean_squared_error(tg.RateRegulariser(strength=2.0, target=0.1))
PLAIN = tg.losses.mean_squared_error()
SPIKING = network(tg.LIF(tau_mem=10e-3), tg.LIF(tau_mem=6e-3))
DETACHED = network(
    tg.LIF(tau_mem=10e-3, reset=tg.SubtractReset(detached=True)),
    tg.LIF(tau_mem=6e-3, reset=tg.SubtractReset(detached=True)),
)
RATES = network(tg.Tanh(tau_mem=3e-3))


MEMORY = network(
    tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0),
    tg.ALIF(tau_mem=10e-3, tau_adapt=20e-3),
)


XS, YS = claims.inputs(), claims.targets()  # made here, not while something is traced


@jax.jit
@jax.grad
def spatial(net, weights):
    """AD with all state before a step constant."""
    circuit = net.discretise()

    def body(state, now):
        x, y, w = now
        still = lax.stop_gradient(state)
        after = circuit.step(still, x, circuit.stages[0].feedforward(x)).after
        return after, loss_and_error(PLAIN, after[-1].z, y, w)[0]

    return jnp.sum(lax.scan(body, circuit.rest(claims.BATCH), (XS, YS, weights))[1])


def test_sltt_is_ad_with_all_state_before_a_step_constant():
    ours = gradient(MEMORY, rules.sltt(), loss=PLAIN)
    assert_equal(ours, spatial(MEMORY, claims.weights()))
    assert_differ(ours, gradient(MEMORY, rules.d_rtrl(), loss=PLAIN), "layers.0.input.weight")


KEPT, OF = 3, 10


def drawn(key, steps):
    """Which steps SLTT-K draws in a stream from this key, as it remembers them."""
    plan = Step(rules.sltt(steps=KEPT, of=OF), PLAIN)
    circuit = MEMORY.discretise()

    def body(stream, now):
        stream = plan.block(circuit, (), stream, Data(*(a[None] for a in now), None)).stream
        return stream, stream.memory.chosen

    cut = (XS[:steps], YS[:steps], jnp.ones((steps, claims.BATCH)))
    return lax.scan(body, plan.rest(circuit, claims.BATCH, key), cut)[1]


def test_sltt_k_is_ad_at_the_drawn_steps_alone():
    """25 steps are two windows of ten, and half of a third."""
    chosen = np.asarray(jax.jit(drawn, static_argnums=1)(random.key(0), claims.STEPS))
    assert (chosen[:, 0] == chosen[:, 1]).all(), "one draw for the batch"
    assert [chosen[:10, 0].sum(), chosen[10:20, 0].sum()] == [KEPT, KEPT]
    ours = gradient(MEMORY, rules.sltt(steps=KEPT, of=OF), loss=PLAIN)
    counted = jnp.where(chosen, claims.weights() * (OF / KEPT), 0.0)
    assert_equal(ours, spatial(MEMORY, counted))
    assert_differ(ours, spatial(MEMORY, claims.weights()), "layers.0.input.weight")
    net = network(tg.LIF(tau_mem=10e-3), recurrent=False)
    whole = gradient(net, rules.sltt(steps=OF, of=OF), loss=LOSS)
    assert_equal(whole, gradient(net, rules.sltt(), loss=LOSS))


def test_every_step_is_drawn_as_often_so_that_sltt_k_is_unbiased():
    """The gradient is linear in the loss weight of a step, so its chance of K / T is the claim."""
    keys = random.split(random.key(1), 4000)
    chosen = np.asarray(jax.jit(jax.vmap(lambda key: drawn(key, 13)))(keys))[..., 0]
    assert (chosen[:, :OF].sum(axis=1) == KEPT).all()
    spread = np.sqrt(0.3 * 0.7 / len(keys))
    assert (np.abs(chosen.mean(axis=0) - KEPT / OF) < 4 * spread).all()
    together = chosen[:, :OF].astype(float).T @ chosen[:, :OF] / len(keys)
    pairs = together[~np.eye(OF, dtype=bool)]
    assert np.abs(pairs - 0.3 * 2 / 9).max() < 4.5 * np.sqrt(0.067 * 0.933 / len(keys))
    assert not (chosen[:, 0] == chosen[:, 10]).all(), "every window draws anew"


def test_sltt_k_is_judged_by_what_it_can_reach_and_refuses_nonsense():
    """One step of a thousand: its few steps of a probe would show no path at all."""
    rare = rules.sltt(steps=1, of=1000)
    net = tg.Network(tg.Layer(tg.Dense(2, 2), tg.LIF()), readout=tg.Readout(2, 1), dt=1e-3)
    tg.Learner(net.freeze("*.neuron.*"), rare, PLAIN, optax.sgd(0.1))
    needs_of = locality(net, rare)["layers.0.weight"]
    assert needs_of.presynaptic and needs_of.postsynaptic and needs_of.broadcast
    with pytest.raises(ValueError, match="needs both steps and of, got steps=3 and of=None"):
        rules.sltt(steps=3)
    with pytest.raises(ValueError, match="at least 1 and at most of, got steps=4 and of=3"):
        rules.sltt(steps=4, of=3)


def test_a_current_that_reaches_the_output_a_step_later_is_refused_by_sltt():
    net = network(tg.CubaLIF(old_current=True)).freeze("*.neuron.*")
    with pytest.raises(ValueError, match=r"sltt has no gradient path to layers\.0\.input\.weight"):
        tg.Learner(net, rules.sltt(), PLAIN, optax.sgd(0.1))


def test_ottt_is_ostl_without_h_where_the_reset_is_detached():
    ours = gradient(DETACHED, rules.ottt(), loss=LOSS)
    assert_equal(ours, gradient(DETACHED, rules.ostl(recurrence=False), loss=LOSS))
    reset = gradient(SPIKING, rules.ostl(recurrence=False), loss=LOSS)
    assert_differ(gradient(SPIKING, rules.ottt(), loss=LOSS), reset, "layers.1.input.weight")


def test_ottt_detaches_the_reset_for_thresholds_and_time_constants_too():
    ours = gradient(SPIKING, rules.ottt(), loss=LOSS)
    assert_equal(ours, gradient(DETACHED, rules.ottt(), loss=LOSS))


def test_ottt_is_exact_for_one_layer_without_recurrence():
    reset = tg.SubtractReset(detached=True)
    for recurrent in (False, True):
        net = network(tg.LIF(tau_mem=10e-3, reset=reset), recurrent=recurrent, readout=None)
        ours, exact = gradient(net, rules.ottt()), gradient(net, rules.bptt())
        if recurrent:
            assert_differ(ours, exact, "layers.0.recurrent.weight")
        else:
            assert_equal(ours, exact)


def test_ottt_stores_one_trace_a_line():
    circuit = SPIKING.discretise()
    memory = rules.ottt().influence.init(circuit, {}, claims.BATCH, random.key(0))
    largest = max(leaf[0].size for leaf in jax.tree.leaves(memory))
    assert largest == max(claims.INPUTS, *claims.SIZES[:2])


def test_diagonal_rtrl_is_ostl_without_h_and_not_snap_1():
    assert rules.d_rtrl()[2:] == rules.ostl(recurrence=False)[2:]
    influence = rules.d_rtrl().influence
    assert influence.reset and not influence.self_weight


REFUSED = [
    (tg.CubaLIF(), needs.one_shared_leak, "one state, got CubaLIF with i_syn, v in layer 0"),
    (tg.ALIF(), needs.rate_units, "one state, got ALIF with b, v in layer 0"),
    (tg.Tanh(), needs.one_shared_leak, "one leak for the whole layer and a constant drive, got Ta"),
    (tg.LIF(reset=tg.ZeroReset()), needs.one_shared_leak, "one leak .* got LIF"),
    (tg.LIF(tau_mem=jnp.full(5, 1e-2)), needs.one_shared_leak, "one leak .* got LIF"),
    (tg.LIF(), needs.rate_units, "rate units with a constant leak, got LIF in layer 0"),
]


@pytest.mark.parametrize(("neuron", "need", "message"), REFUSED)
def test_what_a_rule_cannot_serve_is_refused(neuron, need, message):
    with pytest.raises(ValueError, match=message):
        need(network(neuron))


def test_what_a_rule_can_serve_is_not():
    needs.one_shared_leak(network(tg.LIF()))
    needs.rate_units(network(tg.LI()))


def test_the_rules_ask_for_what_they_need():
    assert rules.ottt().needs == (needs.one_shared_leak,)
    assert rules.rflo().needs == (needs.rate_units,)


def test_rflo_follows_its_equation():
    """NumPy from the paper: rate network with leak 1/tau, trace p, random feedback B."""
    net = network(tg.Tanh(tau_mem=3e-3), readout=None)
    layer, readout = net.layers[0], net.readout.input
    w, v, b = (
        np.asarray(a) for a in (layer.input.weight, layer.recurrent.weight, layer.input.bias)
    )
    w_out, b_out = np.asarray(readout.weight), np.asarray(readout.bias)
    feedback = np.asarray(rules.rflo().signal.init(net, random.key(5))[0])
    rate = 1 - np.exp(-1 / 3)  # 1/tau of the paper
    grad = {"w": 0.0, "v": 0.0, "out": 0.0}
    for sample in range(claims.BATCH):
        a = np.zeros(len(w))
        p_w, p_v = np.zeros_like(w), np.zeros_like(v)
        for x, y, weight in zip(
            np.asarray(claims.inputs())[:, sample],
            np.asarray(claims.targets())[:, sample],
            np.asarray(claims.weights())[:, sample],
            strict=True,
        ):
            u = w @ x + v @ a + b
            slope = rate * (1 - np.tanh(u) ** 2)
            p_w = (1 - rate) * p_w + slope[:, None] * x
            p_v = (1 - rate) * p_v + slope[:, None] * a
            a = (1 - rate) * a + rate * np.tanh(u)
            error = weight * (w_out @ a + b_out - y) / claims.BATCH
            grad["w"] += (feedback @ error)[:, None] * p_w
            grad["v"] += (feedback @ error)[:, None] * p_v
            grad["out"] += error[:, None] * a
    ours = gradient(net, rules.rflo())
    found = (
        ours.layers[0].input.weight,
        ours.layers[0].recurrent.weight,
        ours.readout.input.weight,
    )
    for value, wanted in zip(found, grad.values(), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-14)
    keeps_self = gradient(net, rules.block_diagonal(signal=signals.Random()))
    assert_differ(ours, keeps_self, "layers.0.input.weight")


def test_rflo_drops_what_the_readout_remembers():
    signal = signals.Random()
    ours = gradient(RATES, rules.rflo())
    assert_equal(ours, gradient(RATES, rules.eprop(signal=signal, filter=NoFilter())))
    remembers = gradient(RATES, rules.eprop(signal=signal))
    assert_differ(ours, remembers, "layers.0.input.weight")


def test_es_d_rtrl_follows_its_equation():
    """NumPy: one layer of LIF with a reset, memoryless readout; both factors and the correction."""
    net, decay = network(tg.LIF(tau_mem=10e-3), readout=None), 0.8
    layer, readout = net.layers[0], net.readout.input
    w, v, b = (
        np.asarray(a) for a in (layer.input.weight, layer.recurrent.weight, layer.input.bias)
    )
    w_out, b_out = np.asarray(readout.weight), np.asarray(readout.bias)
    alpha, grad, spikes = np.exp(-1 / 10), {"w": 0.0, "v": 0.0, "out": 0.0}, 0.0
    for sample in range(claims.BATCH):
        u, z, psi = np.zeros(len(w)), np.zeros(len(w)), np.zeros(len(w))
        e_w, e_v, e_out, e_f = np.zeros(w.shape[1]), np.zeros(len(w)), np.zeros(len(w)), u.copy()
        e_g = 0.0  # the readout's postsynaptic factor: no memory (D = 0), drive 1
        for t, (x, y, weight) in enumerate(
            zip(
                np.asarray(claims.inputs())[:, sample],
                np.asarray(claims.targets())[:, sample],
                np.asarray(claims.weights())[:, sample],
                strict=True,
            ),
            start=1,
        ):
            u = alpha * u + w @ x + v @ z + b - z
            own = alpha - psi  # the leak, and the reset by the last spike
            e_w, e_v = decay * e_w + x, decay * e_v + z
            e_f = decay * own * e_f + (1 - decay)
            psi = 1 / (10 * abs(u - 1) + 1) ** 2
            z = (u > 1).astype(float)
            e_out, e_g = decay * e_out + z, 1 - decay
            spikes += z.mean()
            error = weight * (w_out @ z + b_out - y) / claims.BATCH
            post = (w_out.T @ error) * psi * e_f / (1 - decay**t)
            grad["w"] += post[:, None] * e_w
            grad["v"] += post[:, None] * e_v
            grad["out"] += error[:, None] * e_out * e_g / (1 - decay**t)
    assert 0.05 < spikes / (claims.STEPS * claims.BATCH) < 0.6, "the reference must spike"
    ours = gradient(net, rules.es_d_rtrl(decay))
    found = (
        ours.layers[0].input.weight,
        ours.layers[0].recurrent.weight,
        ours.readout.input.weight,
    )
    for value, wanted in zip(found, grad.values(), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-14)
    assert_differ(ours, gradient(net, rules.d_rtrl()), "layers.0.input.weight")


def test_es_d_rtrl_without_smoothing_is_sltt():
    ours = gradient(SPIKING, rules.es_d_rtrl(0.0), loss=LOSS)
    exact = gradient(SPIKING, rules.sltt(), loss=LOSS)
    frozen = "layers.1.input.weight"
    assert claims.difference(ours, exact)[frozen] < claims.EXACT
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1, got 1"):
        rules.es_d_rtrl(1.0)
