"""Claims for convolution, pooling and sparse connections, as for all-to-all ones."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import oracle
import tracegrad as tg
from claims import assert_alive, assert_differ, assert_equal
from numpy_program import Program
from tracegrad.learn.paths import pull_back
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.planner import Work, choose
from tracegrad.learn.plans.step import Step
from tracegrad.learn.plans.window import Window

# These are many programs of no new types: to check types at every call takes half the time.
pytestmark = pytest.mark.usefixtures("as_user")

rules = tg.rules
STEPS, BATCH = 12, 2
SHAPE = (2, 5, 6)
LOSS = tg.losses.mean_squared_error()


def drawn(net, key):
    """The weights, drawn by one program."""
    return jax.jit(lambda key: net.init(key))(random.key(key))


def stack(key, *neurons, readout=5e-3, all_layers=False):
    """Convolution with everything uneven, pooling, and a sparse layer with sparse recurrence."""
    first, second, third = neurons
    conv = tg.Conv(
        SHAPE, channels=3, kernel=(3, 2), stride=(2, 1), padding=(1, 0), gain=2.5, bias=True
    )
    pool = tg.Pool(conv.out_shape, kernel=(2, 3), stride=(1, 2), gain=4.0)
    sparse = tg.Sparse.random(pool.outputs, 5, 0.4, seed=1, gain=4.0, bias=True)
    again = tg.Sparse.random(5, 5, 0.5, seed=2, gain=2.0)
    read = conv.outputs + pool.outputs + 5 if all_layers else 5
    net = tg.Network(
        tg.Layer(conv, first),
        tg.Layer(pool, second),
        tg.Layer(sparse, third, recurrent=again if third.recurrent_ports else None),
        readout=tg.Readout(read, 2, tau=readout, bias=True, all_layers=all_layers),
        dt=1e-3,
    )
    return drawn(net, key)


def deep(key, neuron):
    """A convolution on a convolution, so that the spatial signal goes back through a kernel."""
    below = tg.Conv(SHAPE, channels=2, kernel=3, padding=1, gain=4.0, bias=True)
    above = tg.Conv(below.out_shape, channels=2, kernel=2, stride=2, gain=4.0)
    net = tg.Network(
        tg.Layer(below, neuron),
        tg.Layer(above, neuron),
        readout=tg.Readout(above.outputs, 2, tau=5e-3),
        dt=1e-3,
    )
    return drawn(net, key)


@cache
def data():
    keys = random.split(random.key(1), 3)
    lines = int(np.prod(SHAPE))
    return Data(
        random.bernoulli(keys[0], 0.4, (STEPS, BATCH, lines)).astype(float),
        random.normal(keys[1], (STEPS, BATCH, 2)),
        random.uniform(keys[2], (STEPS, BATCH)),
        None,
    )


def outcome(rule, plan=None):
    """One block as a program of network, feedback and data: gradient, loss, rates."""
    plan = choose(rule, LOSS, Work(None, carry=True)).plan if plan is None else plan(rule, LOSS)

    def compute(net, feedback, data):
        circuit = net.discretise()
        stream = plan.rest(circuit, BATCH, random.key(0))
        found = plan.block(circuit, feedback, stream, data)
        return pull_back(net, found.gradient), found.loss, found.rates

    return compute


def gradient(net, rule, plan=None):
    given = (net, rule.signal.init(net, random.key(5)), data())
    found, _, rates = Program(outcome(rule, plan), *given)(*given)
    assert_alive(net, rates)
    return found


def expected(name, cut):
    """The oracle, which knows matrices only, with the chain rule back to what they are made of."""
    xs, ys, weight, _ = data()

    class Matrices(eqx.Module):
        net: tg.Network
        dt: float = eqx.field(static=True)
        layers = property(lambda self: self.net.layers)
        readout = property(lambda self: self.net.readout)

        def discretise(self):
            return matrices(self.net)

    def compute(net):
        return oracle.gradient(Matrices(net, net.dt), cut, LOSS, xs, ys, weight).net

    net = network(name)
    return Program(compute, net)(net)


def matrices(net):
    """The circuit with every map written as a matrix by asking it for each line alone."""

    def matrix(weight):
        if not isinstance(weight, eqx.Module):
            return weight
        return jax.vmap(weight)(jnp.eye(weight.lines)).T

    circuit = net.discretise()
    stages = [
        eqx.tree_at(lambda s: s.weight, s, {p: matrix(w) for p, w in s.weight.items()})
        for s in circuit.stages
    ]
    return type(circuit)(tuple(stages), circuit.all_layers)


LIF, TANH = tg.LIF(tau_mem=4e-3), tg.Tanh(tau_mem=3e-3)
CUBA = tg.CubaLIF(tau_mem=4e-3, tau_syn=2e-3, normalised=False)
NETWORKS = {
    "lif": lambda: stack(7, LIF, LIF, LIF),
    "mixed": lambda: stack(5, CUBA, tg.LI(tau_mem=3e-3), tg.ALIF(tau_mem=4e-3), readout=None),
    "gated": lambda: stack(0, TANH, tg.GRU(), tg.LSTM(), all_layers=True),
    "deep": lambda: deep(4, LIF),
}


@cache
def network(name):
    return NETWORKS[name]()


cached_expected = cache(expected)


def independent(rule, loss):
    return Chunk(rule, loss, carry=False)


def window(rule, loss):
    return Window(rule, loss, inner=Chunk(rule, loss, carry=False), steps=STEPS, every=5)


def checkpoint(rule, loss):
    return Checkpoint(rule, loss, inner=Chunk(rule, loss, carry=False))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("plan", [Step, independent])
def test_block_diagonal_is_ad_with_cut_edges(name, plan):
    ours = gradient(network(name), rules.block_diagonal(), plan)
    assert_equal(ours, cached_expected(name, oracle.STRICT))


@pytest.mark.parametrize("plan", [Chunk, window, checkpoint, Events])
def test_every_plan_has_the_same_gradient(plan):
    ours = gradient(network("lif"), rules.block_diagonal(), plan)
    assert_equal(ours, cached_expected("lif", oracle.STRICT))


@pytest.mark.parametrize("name", ["lif", "deep"])
def test_eprop_is_ad_with_cut_edges(name):
    net = network(name)
    ours = gradient(net, rules.eprop(), independent)
    assert_equal(ours, cached_expected(name, oracle.IMPLICIT))
    assert_differ(ours, gradient(net, rules.bptt()), "layers.0.input.weight")


@pytest.mark.parametrize("make", [rules.bptt, rules.rtrl, rules.sltt, rules.decolle, rules.ottt])
def test_a_map_learns_what_its_matrix_learns(make):
    """The same network with matrices in the place of maps, and the chain rule by hand."""
    net, rule = network("deep"), make()
    assert_equal(gradient(net, rule), through_matrices(net, rule))


def through_matrices(net, rule):
    """The rule's gradient of the matrices, pulled back to the parameters that make them."""
    plan = choose(rule, LOSS, Work(None, carry=True)).plan

    def compute(net, feedback, data):
        circuit, back = jax.vjp(matrices, net)
        stream = plan.rest(circuit, BATCH, random.key(0))
        found = plan.block(circuit, feedback, stream, data).gradient
        return back(jax.tree.unflatten(jax.tree.structure(circuit), jax.tree.leaves(found)))[0]

    given = (net, rule.signal.init(net, random.key(5)), data())
    return Program(compute, *given)(*given)


def test_the_gradient_of_a_kernel_is_the_sum_over_its_places():
    """Every place of a 1 x 1 kernel has the same weights: the matrix's blocks add up."""
    conv = tg.Conv((2, 3, 3), channels=3, kernel=1).init(random.key(0)).maps()[0]
    keys = random.split(random.key(1))
    x, c = random.normal(keys[0], (7, 18)), random.normal(keys[1], (7, 27))
    dense = (c.T @ x).reshape(3, 9, 2, 9)
    by_hand = jnp.einsum("opiq,pq->oi", dense, jnp.eye(9))
    np.testing.assert_allclose(conv.gradient(c, x)[..., 0, 0], by_hand, rtol=1e-12)


def test_bptt_through_a_convolution_agrees_with_finite_differences():
    net = deep(4, TANH)
    run = Program(outcome(rules.bptt()), net, (), data())
    exact, *_ = run(net, (), data())

    def moved(shift):
        return eqx.tree_at(kernel, net, kernel(net).at[1, 0, 1, 0].add(shift))

    def kernel(net):
        return net.layers[0].input.weight

    up, down = (run(moved(shift), (), data())[1] for shift in (1e-5, -1e-5))
    slope = float(up - down) / 2e-5
    # The error of a central difference is of order width^2 and of rounding 1e-16 / width.
    assert slope == pytest.approx(float(kernel(exact)[1, 0, 1, 0]), rel=1e-6)


def test_traces_of_a_sparse_layer_are_as_many_as_its_synapses():
    sparse = tg.Sparse.fixed_fan_in(30, 4, 3)
    net = tg.Network(tg.Layer(sparse, LIF), readout=tg.Readout(4, 2), dt=1e-3).init(random.key(0))
    trace = Step(rules.eprop(), LOSS).rest(net.discretise(), BATCH, random.key(0)).memory[0]
    assert trace.rows["v"].weight["current"].shape == (BATCH, 4, 3)


def test_the_planner_says_why_a_convolution_has_no_events():
    circuit = network("deep").discretise()
    choice = choose(rules.eprop(), LOSS, Work(None, carry=False, density=0.01), circuit)
    assert "events serve all-to-all connections only" in str(choice)
    assert isinstance(choice.plan, Chunk)
