"""audit of every rule: memory is what a run allocates and as counted by hand, locality as seen."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.inspect import locality
from tracegrad.inspect.audit import audit
from tracegrad.inspect.locality import Located
from tracegrad.inspect.perturb import every_step
from tracegrad.inspect.probe import probe
from tracegrad.learn.alike import alike
from tracegrad.learn.plans.look_back import LookBack
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.learn.plans.reward import Reward

M, N, OUT = 7, 5, 3  # lines, LIF neurons of one recurrent layer, readout units
HIDDEN = N * M + N * N + 2 * N  # one number for each weight and each of two coefficients
EMITTED = N + 2 * N  # emit of the one state, direct of two coefficients
READOUT = (OUT * N + OUT) + OUT + OUT  # a trace each, emit and direct; the leak is a coefficient
EVERY = HIDDEN + OUT * N + OUT
WHOLE = 2 * N + 2 * OUT  # states and outputs
PLAIN = HIDDEN + EMITTED + READOUT
KAPPA = PLAIN + HIDDEN
ONCE = (M + N) + 2 * N  # a trace that all neurons have in common; of coefficients one each
READ_ONCE = (N + OUT) + OUT + OUT
FACTORS = (M + N) + N + 2 * N + EMITTED + 1 + N + 4 * OUT + 1
# On states, and the emission of each stage: no weight reaches down.
FULL = N * HIDDEN + EMITTED + OUT * EVERY + 2 * OUT
CREDIT = N * 2 + OUT
GUESS = CREDIT * (CREDIT + OUT + 1)
RATE = N * M + N * N + N  # a rate unit has one coefficient
DOUBLE = 2 * (N + 2 * OUT) + 4 * OUT  # a readout of two states and two coefficients
FEEDFORWARD = N * M + 2 * N

# By hand: words of traces and signal of a sample; what of it an input spike moves at once.
WORDS = {
    "bptt": (0, 0, 0),
    "truncated_bptt": (0, 0, 0),
    "fptt": (0, 0, 0),
    "future_bptt": (9 * (WHOLE + M), 0, 1),
    "rtrl": (FULL, 0, N + OUT * N),
    "block": (FULL + N * HIDDEN, 0, 2 * N),
    "snap": (FULL + N * HIDDEN, 0, 2 * N),
    "ostl": (FULL, 0, N),
    "block_diagonal": (2 * HIDDEN + EMITTED + READ_ONCE, 0, 2 * N),
    "d_rtrl": (HIDDEN + EMITTED + READ_ONCE, 0, N),
    "eprop": (ONCE + HIDDEN + EMITTED + READ_ONCE, 0, 1 + N),
    "rflo": (RATE + 2 * N + READ_ONCE, 0, N),
    "ottt": (FACTORS, 0, 1),
    "es_d_rtrl": (FACTORS, 0, 1),
    "sltt": (FACTORS, 0, 1),
    "superspike": (ONCE + 2 * HIDDEN + EMITTED + DOUBLE, 0, 1 + 2 * N),
    "decolle": (ONCE + EMITTED + READ_ONCE, 0, 1),
    "osttp": (HIDDEN + EMITTED + READ_ONCE, 0, N),
    "etlp": (ONCE + EMITTED + READ_ONCE, 0, 1),
    "otpe": (M + 2 * N + FEEDFORWARD + EMITTED + READ_ONCE, 1 + N, 1 + N),
    "reward_eprop": (KAPPA + EVERY + 3, 0, 3 * N),
    "forward_gradient": (EVERY + WHOLE, 0, None),
    "uoro": (HIDDEN + WHOLE + READOUT, 0, None),
    "kf_rtrl": ((M + N + 1) + 3 * N * WHOLE + READOUT, 0, None),
    "kernl": (3 * HIDDEN + EMITTED + N + READOUT, WHOLE + 3 * N + N * N, None),
    "dni": (PLAIN, GUESS + 2 * CREDIT + OUT + 1, None),
}
# Whom a hidden weight needs besides its two neurons and a broadcast. Symmetric feedback is the
# transport of readout weights; a random state or direction is one of all neurons together.
NEEDS = {
    "layer beyond transport": ("future_bptt", "forward_gradient", "dni"),
    "layer transport": ("rtrl", "ostl", "uoro", "kf_rtrl", "kernl"),
    "layer": ("decolle",),
    "transport": ("block", "snap", "block_diagonal", "d_rtrl", "eprop", "ottt", "es_d_rtrl",
                  "sltt", "superspike", "otpe", "reward_eprop"),
    "": ("rflo", "osttp", "etlp"),
}  # fmt: skip
OFFLINE = ("bptt", "truncated_bptt", "fptt")
EXPECTED = {name: told for told, names in NEEDS.items() for name in names}
RULES = {make.__name__: make() for make in tg.rules.RULES}
each_rule = pytest.mark.parametrize("name", RULES)


@cache
def network(name="eprop"):
    neuron = tg.Tanh() if name == "rflo" else tg.LIF()
    recurrent = None if name == "otpe" else tg.Dense(N, N)
    readout = (
        tg.Readout.of(tg.DoubleExponential(), N, OUT)
        if name == "superspike"
        else tg.Readout(N, OUT, tau=20e-3)
    )
    net = tg.Network(tg.Layer(tg.Dense(M, N), neuron, recurrent), readout=readout, dt=1e-3)
    return net.freeze("*.tau_mem") if name == "otpe" else net


@cache
def seen(name):
    return audit(network(name), RULES[name])


def entries(tree):
    return sum(a.size for a in jax.tree.leaves(tree))


def test_every_rule_is_in_the_tables():
    assert set(RULES) == set(WORDS) == {*EXPECTED, *OFFLINE}


@each_rule
def test_memory_is_what_a_run_allocates(name):
    """The arrays of the plan for an update at every step, for two samples."""
    rule, memory = RULES[name], seen(name).memory
    net = network(name).init(jax.random.key(0))
    work = Work(1, carry=True, common=alike(net, rule.influence))
    plan = choose(rule, tg.losses.mean_squared_error(), work).plan
    stream = plan.rest(net.discretise(), 2, jax.random.key(1))
    assert entries(stream.state) == 2 * memory.state
    assert entries(stream) == 2 * (memory.state + memory.rule + memory.flags)
    assert entries(rule.signal.init(net, jax.random.key(2))) == memory.feedback
    assert entries(net.discretise()) == memory.weights


@each_rule
def test_memory_is_as_counted_by_hand(name):
    traces, signal, moved = WORDS[name]
    found = seen(name)
    assert (found.memory.traces, found.memory.signal) == (traces, signal)
    if moved is not None:
        assert found.operations.learning_per_spike == moved
    assert found.operations.learning > 0
    assert found.to_dict()["memory"]["traces"] == traces and name in str(found)


@each_rule
def test_whom_a_weight_needs(name):
    needs = seen(name).needs
    if name in OFFLINE:
        assert not needs and not seen(name).local
        return
    for kind in ("weight", *(["recurrent"] if network(name).layers[0].recurrent else [])):
        found = needs[f"layers.0.{kind}"]
        told = [part for part in ("layer", "beyond", "transport") if getattr(found, part)]
        assert " ".join(told) == EXPECTED[name]
        assert found.presynaptic and found.postsynaptic and found.broadcast
    assert seen(name).local == (EXPECTED[name] == "")
    runs_again = ("future_bptt", "forward_gradient")
    assert needs["readout.weight"].local == (name not in runs_again)


def test_rules_of_their_own_plans_are_priced_by_them():
    assert isinstance(every_step(RULES["future_bptt"]), LookBack)
    assert isinstance(every_step(RULES["reward_eprop"]), Reward)


def test_what_reverse_mode_keeps_is_what_it_stores():
    rule, found = RULES["bptt"], seen("bptt").memory
    plan, circuit = every_step(rule), network().init(jax.random.key(0)).discretise()

    def stored(steps):
        data = Data(*(jnp.ones((steps, 1, *s)) for s in ((M,), (OUT,), ())), None)
        back = jax.vjp(lambda c: plan.objective(c, circuit.rest(1), data)[0], circuit)[1]
        return sum(a.size for a in jax.tree.leaves(back) if a.dtype != bool)

    assert stored(9) - stored(5) == 4 * found.kept_per_step
    assert (found.window, seen("truncated_bptt").memory.window) == (None, 10)
    assert seen("fptt").memory.window == 1


def test_two_copies_of_the_weights_belong_to_fptt():
    learned = N * M + N * N + OUT * N + 3  # and two time constants and a threshold
    assert seen("fptt").memory.optimiser == 2 * learned
    assert seen("bptt").memory.optimiser == 0


def test_no_layer_of_decolle_needs_another_and_adaptive_feedback_is_learned_locally():
    layers = [tg.Layer(tg.Dense(N, N), tg.LIF(), tg.Dense(N, N)) for _ in range(2)]
    deep = probe(tg.Network(*layers, readout=tg.Readout(N, OUT), dt=1e-3))
    found = locality.locality(deep, RULES["decolle"])
    assert not any(needs.beyond or needs.transport for needs in found.values())
    adaptive = tg.rules.eprop(signal=tg.signals.Adaptive())
    assert locality.locality(probe(network()), adaptive)["layers.0.weight"].local


def test_an_offline_rule_has_no_step_to_look_at():
    with pytest.raises(ValueError, match="bptt learns from whole blocks.*Choose an online rule"):
        locality.locality(probe(network()), RULES["bptt"])


def test_what_moves_is_scaled_to_other_sizes():
    row = np.zeros((1, 2, 2), bool)
    row[0, :, 1] = True
    diagonal = np.eye(2, dtype=bool)[None, :, :, None]
    assert Located({}, [row]).on([(1, 5, 7)]) == 5
    assert Located({}, [diagonal]).on([(1, 5, 5, 7)]) == 35
    assert Located({}, [np.zeros((1, 2), bool), np.ones((1, 2), bool)]).on([(1, 9), (1, 3)]) == 3
