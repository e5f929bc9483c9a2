"""Claims: exact rules equal BPTT; approximations equal AD with dropped edges cut, and differ."""

import jax.numpy as jnp
import pytest
from jax import random

import claims
import oracle
import tracegrad as tg
from claims import assert_differ, assert_equal, gradient, network
from numpy_program import Program
from tracegrad import model
from tracegrad.learn.filter import NoFilter
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step

rules, signals = tg.rules, tg.signals
NEURONS = {
    "lif": lambda **k: tg.LIF(tau_mem=10e-3, **k),
    "lif_first": lambda **k: tg.LIF(tau_mem=10e-3, reset_first=True, **k),
    "if": lambda **k: tg.IF(v_threshold=2.0, **k),
    "cuba": lambda **k: tg.CubaLIF(tau_mem=10e-3, normalised=False, v_threshold=2.0, **k),
    "cuba_old": lambda **k: tg.CubaLIF(
        tau_mem=10e-3, normalised=False, v_threshold=2.0, old_current=True, **k
    ),
    "alif": lambda **k: tg.ALIF(tau_mem=10e-3, tau_adapt=20e-3, refractory_steps=3, **k),
    "li": lambda **k: tg.LI(tau_mem=5e-3, **k),
    "tanh": lambda **k: tg.Tanh(tau_mem=3e-3, **k),
    "adex": lambda **k: tg.AdEx(tau_mem=10e-3, tau_adapt=20e-3, **k),
    "izhikevich": lambda **k: tg.Izhikevich(tau_adapt=10e-3, **k),
    "resonate": lambda **k: tg.ResonateAndFire(
        omega=200.0, tau_mem=10e-3, tau_reset=5e-3, tau_adapt=3e-3, **k
    ),
    "two": tg.TwoCompartment,
    "gru": tg.GRU,
    "lstm": tg.LSTM,
    "lru": tg.LRU,
}
ALONE = (
    "lif",
    "lif_first",
    "if",
    "cuba",
    "cuba_old",
    "alif",
    "li",
    "tanh",
)  # the others are proven in stacks
SPIKING = ("lif", "cuba", "cuba_old", "alif")
LEAKY, MEMORYLESS = 5e-3, None

# Every neuron alone and with each reset; then stacks that mix neurons.
SINGLE = [
    (network(NEURONS[name](), recurrent=recurrent, readout=readout), f"{name}-{recurrent}")
    for name in ALONE
    for recurrent, readout in ((True, LEAKY), (False, MEMORYLESS))
]
RESETS = [
    (network(NEURONS[name](reset=reset)), f"{name}-{type(reset).__name__}-{index}")
    for name, index in (("lif", 1), ("cuba", 2), ("alif", 3), ("cuba_old", 4), ("lif", 2))
    for reset in (claims.ALL_RESETS[index],)
]
STACKS = [
    (
        network(
            *(NEURONS[n]() for n in names),
            recurrent=recurrent,
            readout=readout,
            all_layers=every,
            gain=gain,
        ),
        "-".join(names) + f"-{recurrent}-{readout}-{every}",
    )
    for names, recurrent, readout, every, gain in (
        (("lif", "cuba"), True, LEAKY, False, 4.0),
        (("alif", "tanh"), True, MEMORYLESS, True, 4.0),
        (("cuba_old", "li"), False, LEAKY, True, 4.0),
        (("tanh", "lif", "alif"), True, LEAKY, False, 5.0),
        (("cuba", "alif", "lif"), True, MEMORYLESS, False, 4.0),
        (("li", "tanh", "cuba_old"), False, LEAKY, True, 4.0),
        (("adex", "gru"), True, LEAKY, True, 4.0),
        (("lstm", "izhikevich"), True, MEMORYLESS, False, 6.0),
        (("resonate", "lru", "two"), True, LEAKY, False, 4.0),
    )
]
NETWORKS = SINGLE + RESETS + STACKS
each_network = pytest.mark.parametrize(
    "net", [pytest.param(net, id=name) for net, name in NETWORKS]
)
PENALTY = tg.RateRegulariser(strength=2.0, target=0.1)
LOSS = tg.losses.mean_squared_error(PENALTY)


def _oracle(net, cut, loss=LOSS):
    data = (claims.inputs(), claims.targets(), claims.weights())
    return Program(lambda net, *data: oracle.gradient(net, cut, loss, *data), net, *data)(
        net, *data
    )


def test_every_neuron_is_in_a_network():
    proven = {type(layer.neuron) for net, _ in NETWORKS for layer in net.layers}
    assert proven == set(model.NEURONS)


@each_network
def test_rtrl_equals_bptt(net):
    assert_equal(gradient(net, rules.rtrl(), loss=LOSS), gradient(net, rules.bptt(), loss=LOSS))


@each_network
def test_block_diagonal_is_ad_with_cut_edges(net):
    for plan in (Step, Chunk, Events):
        ours = gradient(net, rules.block_diagonal(), loss=LOSS, plan=plan)
        assert_equal(ours, _oracle(net, oracle.STRICT))


@each_network
def test_eprop_is_ad_with_cut_edges(net):
    for plan in (Step, Chunk):
        ours = gradient(net, rules.eprop(), loss=LOSS, plan=plan)
        assert_equal(ours, _oracle(net, oracle.IMPLICIT))


@pytest.mark.parametrize("net", [SINGLE[0][0], SINGLE[2][0], SINGLE[6][0], SINGLE[10][0]])
@pytest.mark.parametrize("cut", [oracle.STRICT, oracle.IMPLICIT])
def test_oracle_is_plain_ad_for_one_layer(net, cut):
    data = (claims.inputs(), claims.targets(), claims.weights())
    assert_equal(oracle.direct(net, cut, LOSS, *data), oracle.gradient(net, cut, LOSS, *data))


@pytest.mark.parametrize("name", [*ALONE, "lru"])
@pytest.mark.parametrize("readout", [LEAKY, MEMORYLESS])
def test_block_diagonal_is_exact_without_recurrence(name, readout):
    net = network(NEURONS[name](), recurrent=False, readout=readout)
    assert_equal(gradient(net, rules.block_diagonal()), gradient(net, rules.bptt()))


@pytest.mark.parametrize("name", [*ALONE, "gru"])
def test_block_diagonal_differs_from_bptt_with_recurrence(name):
    net = network(NEURONS[name]())
    ours, exact = gradient(net, rules.block_diagonal()), gradient(net, rules.bptt())
    assert_differ(ours, exact, "layers.0.input.weight")
    assert_differ(ours, exact, "layers.0.recurrent.weight")


@pytest.mark.parametrize("name", SPIKING)
def test_eprop_is_exact_without_recurrence_and_with_detached_reset(name):
    net = network(NEURONS[name](reset=tg.SubtractReset(detached=True)), recurrent=False)
    assert_equal(gradient(net, rules.eprop()), gradient(net, rules.bptt()))


@pytest.mark.parametrize("name", SPIKING)
def test_eprop_drops_the_reset_path_and_block_diagonal_keeps_it(name):
    net = network(NEURONS[name](), recurrent=False)
    ours, strict = gradient(net, rules.eprop()), gradient(net, rules.block_diagonal())
    assert_differ(ours, strict, "layers.0.input.weight")


def test_block_diagonal_keeps_the_self_weight_and_eprop_drops_it():
    net = network(NEURONS["tanh"]())  # no reset: the self-weight is the only difference
    assert_differ(
        gradient(net, rules.block_diagonal()), gradient(net, rules.eprop()), "layers.0.input.weight"
    )
    masked = network(NEURONS["tanh"](), autapses=False)
    ours, theirs = gradient(masked, rules.block_diagonal()), gradient(masked, rules.eprop())
    assert_equal(ours, theirs)
    diagonal = jnp.diagonal(ours.layers[0].recurrent.weight)
    assert jnp.all(diagonal == 0), "a masked autapse must not learn"


@pytest.mark.parametrize("readout", [LEAKY, MEMORYLESS])
def test_without_filter_the_readout_has_no_past(readout):
    net = network(NEURONS["lif"](), NEURONS["cuba"](), readout=readout)
    rule = rules.block_diagonal(filter=NoFilter())
    for plan in (Step, Chunk, Events):
        ours = gradient(net, rule, loss=LOSS, plan=plan)
        assert_equal(ours, _oracle(net, oracle.STRICT._replace(kappa=False)))
    if readout is LEAKY:
        kappa = gradient(net, rules.block_diagonal(), loss=LOSS)
        assert_differ(ours, kappa, "layers.1.input.weight")


@pytest.mark.parametrize("signal", [signals.Random(), signals.Adaptive(0.0)])
def test_random_feedback_replaces_the_readout_weights(signal):
    """With B = W_out^T, direct feedback to one layer is the symmetric signal; otherwise not."""
    net = network(NEURONS["lif"]())
    rule = rules.eprop(signal=signal)
    symmetric = gradient(net, rules.eprop())
    for plan in (Step, Chunk, Events):
        same = gradient(net, rule, plan=plan, feedback=(net.readout.input.weight.T,))
        assert_equal(same, symmetric)
        assert_differ(gradient(net, rule, plan=plan), symmetric, "layers.0.input.weight")


def test_random_feedback_reaches_every_layer():
    net = network(NEURONS["lif"](), NEURONS["cuba"]())
    rule = rules.eprop(signal=signals.Random())
    step = gradient(net, rule, plan=Step)
    for plan in (Chunk, Events):
        assert_equal(gradient(net, rule, plan=plan), step)
    assert jnp.any(step.layers[0].input.weight != 0)


def test_cross_entropy_error_is_softmax_minus_one_hot():
    net = network(NEURONS["lif"]())
    labels = random.randint(random.key(4), (claims.STEPS, claims.BATCH), 0, claims.OUTPUTS)
    data = Data(claims.inputs(), labels, claims.weights(), None)
    loss = tg.losses.cross_entropy()
    exact = gradient(net, rules.bptt(), loss=loss, data=data)
    assert_equal(gradient(net, rules.rtrl(), loss=loss, data=data), exact)


def test_bptt_agrees_with_finite_differences():
    """The arbiter: central differences of the loss of a smooth network."""
    net = network(NEURONS["tanh"](), NEURONS["li"]())
    exact = gradient(net, rules.bptt(), loss=LOSS)
    width = 1e-5

    def objective(shift, where):
        def moved(weight):
            return weight.at[1, 2].add(shift)

        import equinox as eqx

        shifted = eqx.tree_at(where, net, moved(where(net)))
        outcome = claims.block(shifted, rules.bptt(), loss=LOSS)
        _, outputs = None, shifted(claims.inputs())[0]
        penalty = sum(
            PENALTY.loss(jnp.sum(z, axis=0), jnp.full(claims.BATCH, float(claims.STEPS)))
            for z in outputs[:-1]
        )
        return float(outcome.loss + penalty)

    for where in (lambda n: n.layers[0].input.weight, lambda n: n.layers[0].recurrent.weight):
        slope = (objective(width, where) - objective(-width, where)) / (2 * width)
        # The error of a central difference is of order width^2 and of rounding 1e-16 / width.
        assert slope == pytest.approx(float(where(exact)[1, 2]), rel=1e-6)
