"""A substrate inside a learner: ideal changes no bit, stored weights stay on their grid."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from claims import network
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.step import Step
from tracegrad.substrate.decays import ShiftDecays, decays_of
from tracegrad.substrate.fixed import Fixed, Wrap
from tracegrad.substrate.number import Number
from tracegrad.substrate.rounding import Floor, Lfsr, Nearest, Stochastic
from tracegrad.substrate.scale import PerMatrix, PerNeuron, Point
from tracegrad.substrate.substrate import Placed, Substrate
from tracegrad.substrate.update import Accumulate, Direct
from tracegrad.substrate.weights import Weights, by_name, is_weight

MSE = tg.losses.mean_squared_error


def net32(*neurons):
    """A live network in float32."""
    net = network(*(neurons or (tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0),)))
    return jax.tree.map(lambda a: a.astype(jnp.float32), net.freeze("*.neuron.*"))


def learner(substrate=None, rule=None, every=1, net=None, optimiser=None, **options):
    made = tg.Learner(
        net or net32(), rule or tg.rules.eprop(), MSE(), optimiser or optax.sgd(0.05), every,
        **options,
    )  # fmt: skip
    return made if substrate is None else made.on(substrate)


def data(length=20):
    return tuple(a[:length].astype(jnp.float32) for a in (claims.inputs(), claims.targets()))


def learned(made, length=20):
    state = made.init(random.key(0), batch=claims.BATCH)
    xs, ys = data(length)
    state, info = made.run(state, xs, ys)
    claims.assert_alive(state.network, info.rates)
    return state, info


def arrays(network):
    return {name: np.asarray(a) for name, a in by_name(network) if is_weight(name)}


@pytest.mark.parametrize(
    ("rule", "every"),
    [(tg.rules.eprop(), 1), (tg.rules.eprop(), 5), (tg.rules.rtrl(), 5)],
    ids=["every-step", "chunks", "rtrl"],
)
def test_ideal_changes_no_bit(rule, every):
    plain, info = learned(learner(rule=rule, every=every))
    ideal, again = learned(learner(Substrate(), rule, every))
    for a, b in zip(jax.tree.leaves((plain, info)), jax.tree.leaves((ideal, again)), strict=True):
        if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            assert np.array_equal(a, b)


UPDATES = [
    Direct(Nearest()),
    Direct(Stochastic()),
    Direct(Stochastic(shared=True), most=1),
    Direct(Lfsr()),
    Accumulate(Fixed(16, 12)),
]


@pytest.mark.parametrize(
    ("update", "scale"),
    [(UPDATES[1], PerMatrix()), (UPDATES[3], Point()), (UPDATES[4], PerNeuron())],
    ids=["chance", "register", "accumulate"],
)
def test_weights_stay_whole_numbers_of_their_format(update, scale):
    format = Fixed(8, 4)
    made = learner(Substrate("s", Weights(format, scale, update)), every=5)
    before = made.init(random.key(0), batch=claims.BATCH)
    lsb = {n.removeprefix("0."): np.asarray(a) for n, a in before.placed.weights.lsb.items()}
    start = arrays(before.network)
    after = arrays(learned(made)[0].network)
    moved = 0
    for name, values in after.items():
        assert values.dtype == np.float32
        whole = values / lsb[name]
        assert np.array_equal(whole, np.round(whole)), name
        assert whole.min() >= -128 and whole.max() <= 127
        assert np.log2(lsb[name]).tolist() == np.round(np.log2(lsb[name])).tolist()
        moved += np.count_nonzero(values != start[name])
    assert moved, "it must have learned"


def test_scale_is_the_least_power_of_two_that_reaches():
    weight = jnp.asarray([[0.5, -1.0], [0.1, 0.0]], jnp.float32)
    # 2 * 1.0 in 127 steps: 1/64 (range 1.98) is too little by a hair, 1/32 reaches.
    assert float(PerMatrix()(weight, Fixed(8))) == 1 / 32
    assert PerNeuron()(weight, Fixed(8)).tolist() == [[1 / 32], [1 / 512]]
    assert float(PerMatrix(127 / 64)(weight, Fixed(8))) == 1 / 64, "exactly a power of two"
    assert float(PerMatrix()(jnp.zeros(3), Fixed(8))) == 1 / 32
    assert float(Point()(weight, Fixed(8, 4))) == 1 / 16


def change(weights, values, wished, times=1):
    """Stored weights after the same wish several times."""
    tree, state = weights.store({"w": jnp.asarray(values, jnp.float32)}, random.key(0))
    wish = {"w": jnp.broadcast_to(jnp.asarray(wished, jnp.float32), tree["w"].shape)}
    for _ in range(times):
        tree, state = weights.change(tree, wish, state)
    return np.asarray(tree["w"]), state


def test_small_changes_are_lost_found_by_chance_or_accumulated():
    n, point = 4000, Point()
    zeros = np.zeros(n)
    nearest, _ = change(Weights(Fixed(8), point, Direct(Nearest())), zeros, 0.3, 10)
    assert np.all(nearest == 0)
    chance, _ = change(Weights(Fixed(8), point, Direct(Stochastic())), zeros, 0.3, 10)
    sigma = (10 * 0.3 * 0.7 / n) ** 0.5
    assert abs(chance.mean() - 3) < 4 * sigma and chance.std() > 1
    kept, state = change(
        Weights(Fixed(8), point, Accumulate(Fixed(16, 10), Nearest())), zeros, 0.3, 10
    )
    rest = 10 * round(0.3 * 2**10) / 2**10 - 2  # a hair below 3: not fired yet
    assert np.all(kept == 2) and np.all(np.asarray(state.kept["w"]) == np.float32(rest))
    fallen, state = change(
        Weights(Fixed(8), point, Accumulate(Fixed(16, 10), Nearest())), zeros, -0.5, 5
    )
    assert np.all(fallen == -2) and np.all(np.asarray(state.kept["w"]) == -0.5)


def test_one_bit_at_most_threshold_and_chance():
    point, n = Point(), 4000
    one, _ = change(Weights(Fixed(8), point, Direct(Stochastic(), most=1)), np.zeros(n), -5.5)
    assert np.all(one == -1)
    gated, _ = change(Weights(Fixed(8), point, Direct(Nearest()), threshold=2.0), [0, 0], [1.9, 2])
    assert gated.tolist() == [0, 2]
    rare, _ = change(Weights(Fixed(8), point, Direct(Stochastic()), chance=0.25), np.zeros(n), 1.0)
    assert set(np.unique(rare)) == {0.0, 4.0}
    assert abs(np.mean(rare != 0) - 0.25) < 4 * (0.25 * 0.75 / n) ** 0.5


def test_no_wish_no_change():
    for update in UPDATES:
        held, _ = change(Weights(Fixed(8), Point(), update), [3.0, -7.0, 0.0], 0.0, 20)
        assert held.tolist() == [3, -7, 0]


def test_overflow_of_a_weight():
    top, _ = change(Weights(Fixed(8), Point(), Direct(Nearest())), [127.0], 1.0)
    assert top.tolist() == [127]
    round_, _ = change(Weights(Fixed(8, overflow=Wrap()), Point(), Direct(Nearest())), [127.0], 1.0)
    assert round_.tolist() == [-128]


def test_same_bits_by_step_and_by_run():
    stored = Substrate("s", Weights(Fixed(8), PerMatrix(), Direct(Stochastic())))
    by_run, _ = learned(learner(stored))
    made = learner(stored)
    state = made.init(random.key(0), batch=claims.BATCH)
    for x, y in zip(*data(), strict=True):
        state, _ = made.step(state, x, y)
    for name, values in arrays(state.network).items():
        assert np.array_equal(values, arrays(by_run.network)[name]), name


FULL = Substrate(
    "full",
    Weights(Fixed(8)),
    states=Number(Fixed(12, 6), Floor()),
    traces=Number(Fixed(10, 4), Stochastic()),
    signals=Number(Fixed(12, 8), Stochastic()),
)


def test_states_traces_and_signals_are_in_their_formats():
    made = learner(FULL, every=5)
    assert str(made.plan) == "Step: the substrate rounds traces at every step"
    state, info = learned(made)
    carried = state.stream.memory
    found = [(s.s, 2**6, 12) for s in state.stream.state]
    found += [((part.rows, part.taps), 2**4, 10) for part in carried.inside]
    for tree, scale, bits in found:
        values = np.concatenate([np.ravel(a) for a in jax.tree.leaves(tree)]) * scale
        assert np.array_equal(values, np.round(values)) and np.any(values)
        assert np.abs(values).max() <= 2 ** (bits - 1)
    assert np.any(np.asarray(info.outputs)), "the readout must do something"
    arrays_held = len(jax.tree.leaves([(part.rows, part.taps) for part in carried.inside]))
    assert np.unique(np.asarray(carried.draws.used)).tolist() == [20 * arrays_held]


def test_rounded_traces_by_hand():
    """One synapse: the trace is the decayed one plus the spike, rounded down at every step."""
    net = tg.Network(
        tg.Layer(tg.Dense.from_arrays(jnp.full((1, 1), 0.1)), tg.LIF(tau_mem=10e-3)),
        readout=tg.Readout(1, 1, tau=None),
        dt=1e-3,
    ).freeze("*.neuron.*")  # fmt: skip
    down = Substrate("down", traces=Number(Fixed(16, 4), Floor()))
    made = tg.Learner(net, tg.rules.eprop(), MSE(), optax.sgd(0.0), 1).on(down)
    state = made.init(random.key(0), batch=1)
    xs = jnp.asarray([1.0, 0, 1, 0, 0, 1])[:, None, None]
    trace, alpha = 0.0, np.exp(-0.1)
    for x in xs:
        state, _ = made.step(state, x, jnp.zeros((1, 1)))
        trace = np.floor((alpha * trace + float(x[0, 0])) * 16) / 16
        row = state.stream.memory.inside[0].rows["v"].weight["current"]
        assert float(row[0, 0, 0]) == trace
    assert trace > 1


def test_a_filter_reads_traces_that_are_held():
    """One synapse by hand: the held trace times the held slope goes into the filter, held again."""
    net = tg.Network(
        tg.Layer(tg.Dense.from_arrays(jnp.full((1, 1), 0.625)), tg.LIF(tau_mem=10e-3)),
        readout=tg.Readout(1, 1, tau=20e-3),
        dt=1e-3,
    ).freeze("*.neuron.*")  # fmt: skip
    floor, slopes = Number(Fixed(16, 8), Floor()), Number(Fixed(16, 3))
    down = Substrate("down", states=Number(Fixed(16, 6)), traces=floor, slopes=slopes)
    made = tg.Learner(net, tg.rules.eprop(), MSE(), optax.sgd(0.0), 1).on(down)
    state = made.init(random.key(0), batch=1)
    alpha, kappa = np.exp(-0.1), np.exp(-0.05)
    v = trace = kept = most = z = 0.0
    for x in (1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0):
        state, _ = made.step(state, jnp.full((1, 1), x), jnp.zeros((1, 1)))
        v = np.round((alpha * v + 0.625 * x - z) * 64) / 64
        z = float(v > 1)
        trace = np.floor((alpha * trace + x) * 256) / 256
        distance = np.round((v - 1) * 8) / 8
        slope = np.round(8 / (10 * abs(distance) + 1) ** 2) / 8
        kept = np.floor((kappa * kept + (1 - kappa) * slope * trace) * 256) / 256
        hidden = state.stream.memory.inside[0]
        assert float(state.stream.state[0].s["v"][0, 0]) == v
        assert float(hidden.rows["v"].weight["current"][0, 0, 0]) == trace
        assert float(hidden.taps["kappa1"].weight["current"][0, 0, 0]) == kept
        most = max(most, kept)
    assert most > 0


def test_coefficients_that_meet_states_have_their_format():
    held = Substrate("held", states=Number(Fixed(16, 6)))
    read = held.read(network(tg.ALIF(adaptation=0.2, v_threshold=0.7)), Placed())
    stage = read.discretise().stages[0]
    assert np.all(np.asarray(stage.coefficients["beta_a"]) == 13 / 64)
    assert np.all(np.asarray(stage.coefficients["v_threshold"]) == 45 / 64)
    assert float(stage.coefficients["alpha"][0]) == pytest.approx(np.exp(-1 / 20), rel=1e-12)


def test_shift_decays_and_which_coefficients_are_decays():
    neuron = tg.CubaLIF()
    names = decays_of(neuron, 1e-3)
    assert names == {name for name in neuron.coefficients(1e-3) if name != "v_threshold"}
    made = learner(Substrate("shift", decays=ShiftDecays()))
    circuit = made.deployed(made.init(random.key(0), 1)).discretise()
    for stage in circuit.stages:
        for name, value in stage.coefficients.items():
            if name != "v_threshold":
                shift = -np.log2(1 - np.asarray(value))
                assert np.array_equal(shift, np.round(shift))
    assert float(circuit.stages[0].coefficients["v_threshold"][0]) == pytest.approx(2.0)


def test_an_error_below_the_threshold_changes_no_hidden_weight():
    quiet = learner(Substrate("quiet", signal_threshold=1e6))
    before = arrays(quiet.init(random.key(0), claims.BATCH).network)
    after = arrays(learned(quiet)[0].network)
    same = {name: np.array_equal(after[name], before[name]) for name in after}
    assert same["layers.0.input.weight"] and same["layers.0.recurrent.weight"]
    assert not same["readout.input.weight"]


def test_refusals():
    with pytest.raises(ValueError, match="full holds traces in 10 bits, and bptt keeps a graph"):
        learner(FULL, tg.rules.bptt(), None)
    with pytest.raises(ValueError, match="states are rounded by Nearest"):
        Substrate(states=Number(Fixed(8), Stochastic()))
    with pytest.raises(ValueError, match="slopes are rounded by Nearest"):
        Substrate(slopes=Number(Fixed(8), Stochastic()))
    rule = tg.rules.eprop()
    loss = MSE()
    chunk = tg.Learner(net32(), rule, loss, optax.sgd(0.1), 5, plan=Chunk(rule, loss, carry=True))
    with pytest.raises(ValueError, match="needs the plan Step without common traces, got Chunk"):
        chunk.on(FULL)
    step = tg.Learner(net32(), rule, loss, optax.sgd(0.1), 5, plan=Step(rule, loss))
    learned(step.on(FULL))
    with pytest.raises(ValueError, match="chance must be above 0"):
        Weights(chance=0.0)


def test_states_in_a_format_serve_every_plan():
    """The embodied neuron is a neuron: Step and Chunk agree about its gradient."""
    states = Substrate("states", states=Number(Fixed(12, 6), Floor()))
    net = network(tg.LIF(tau_mem=10e-3))
    read = states.read(net, Placed())
    rule = tg.rules.block_diagonal()
    ours, theirs = (claims.block(read, rule, plan=plan) for plan in (_chunk, Step))
    plain = claims.block(net, rule)
    claims.assert_equal(ours.gradient, theirs.gradient)
    assert float(jnp.max(jnp.abs(ours.outputs - plain.outputs))) > 1e-4


def _chunk(rule, loss):
    return Chunk(rule, loss, carry=True)


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), -1.0])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(ValueError, match="finite number|signal_threshold"):
        Substrate("odd", signal_threshold=threshold)
