"""audit: counts equal what is allocated and counted by hand; locality is seen by perturbing."""

import jax
import jax.numpy as jnp
import optax

import tracegrad as tg
from tracegrad.inspect.audit import audit
from tracegrad.inspect.locality import locality
from tracegrad.inspect.operations import count_operations
from tracegrad.inspect.probe import probe
from tracegrad.learn.influence import Block

N, M, OUT = 5, 7, 3


def network(*neurons, tau=20e-3):
    layers = [
        tg.Layer(tg.Dense(M if i == 0 else N, N), neuron, recurrent=tg.Dense(N, N))
        for i, neuron in enumerate(neurons)
    ]
    return tg.Network(*layers, readout=tg.Readout(N, OUT, tau=tau), dt=1e-3)


RANDOM = tg.rules.eprop(signal=tg.signals.Random())


def test_memory_is_what_a_learner_allocates():
    """A learner itself; of every rule see `test_audit_rules`."""
    rule, net, batch = RANDOM, network(tg.CubaLIF()), 4
    seen = audit(net, rule)
    loss = tg.losses.mean_squared_error()
    learner = tg.Learner(net, rule, loss, optax.sgd(0.1), update_every=1)
    stream = learner.init(jax.random.key(0), batch).stream

    def words(tree):
        return sum(a.size for a in jax.tree.leaves(tree))

    assert words(stream.state) == batch * seen.memory.state
    assert words((stream.memory, stream.signal)) == batch * seen.memory.rule


def test_a_trace_per_synapse_is_counted_by_hand():
    seen = audit(network(tg.CubaLIF()), RANDOM)
    synapses = N * M + N * N + N * OUT
    assert seen.synapses == synapses and seen.neurons == N + OUT
    # the kappa tap for each input, recurrent weight and coefficient; two states, whose traces all
    # neurons have in common, but for coefficients; emit, direct
    hidden = (N * M + N * N + 3 * N) + 2 * (M + N + 3 * N) + 2 * N + 3 * N
    readout = (N + OUT) + OUT + OUT  # one state of the leaky readout and its decay
    assert seen.memory.traces == hidden + readout
    assert seen.memory.of_synapses == N * M + N * N  # the kappa taps
    assert seen.memory.state == 3 * N + 2 * OUT
    assert seen.operations.forward_per_spike == N
    assert seen.operations.learning_per_spike == N + 2
    assert seen.words_per_synapse == (hidden + readout) / synapses


def test_backpropagation_keeps_more_with_every_step_and_is_not_local():
    seen = audit(network(tg.LIF()), tg.rules.bptt())
    assert seen.memory.rule == 0 and not seen.local
    # the input, and of every neuron at least its state and its spike
    assert M + 2 * N <= seen.memory.kept_per_step <= M + 10 * (N + OUT)


def test_what_a_rule_needs():
    deep = probe(network(tg.CubaLIF(), tg.LIF()))
    random = locality(deep, RANDOM)
    assert all(needs.local for needs in random.values())
    first = random["layers.0.weight"]
    assert first.presynaptic and first.postsynaptic and first.broadcast
    symmetric = locality(deep, tg.rules.block_diagonal())
    assert symmetric["layers.0.weight"].beyond and symmetric["layers.0.weight"].transport
    assert not symmetric["layers.1.weight"].beyond and symmetric["layers.1.weight"].transport
    assert not any(needs.layer for needs in symmetric.values())
    assert symmetric["readout.weight"].local


def test_rtrl_needs_its_whole_layer():
    found = locality(probe(network(tg.LIF(), tau=None)), tg.rules.rtrl())
    assert found["layers.0.weight"].layer and found["layers.0.recurrent"].layer
    assert found["readout.weight"].local


class Leaking(Block):
    """A block whose traces move to the neighbour: not local, whatever its name says."""

    def push(self, *arguments):
        return jax.tree.map(lambda a: jnp.roll(a, 1, axis=1), Block.push(self, *arguments))


def test_a_leak_to_another_neuron_is_found():
    rule = RANDOM._replace(influence=Leaking(self_weight=False, reset=False))
    assert locality(probe(network(tg.LIF())), rule)["layers.0.weight"].layer


def test_operations_are_counted():
    a, b, xs = jnp.zeros((2, 3)), jnp.zeros((3, 4)), jnp.zeros((5, 3))
    assert count_operations(lambda a, b: a @ b + 1.0, a, b) == 2 * 2 * 3 * 4 + 2 * 4
    loop = lambda xs: jax.lax.scan(lambda c, x: (c * x, c), xs[0], xs)  # noqa: E731
    assert count_operations(loop, xs) == 5 * 3
    assert count_operations(jax.jit(lambda a: jnp.sum(jnp.exp(a))), a) == 6 + 6
    step = audit(network(tg.LIF()), RANDOM).operations
    dense = 2 * (N * M + N * N + N * OUT)
    assert dense < step.forward < dense + 20 * (N + OUT)
    assert step.learning > 2 * (N * M + N * N)


def test_it_prints():
    text = str(audit(network(tg.LIF()), RANDOM))
    assert "eprop: cost of a step" in text and "layers.0.weight" in text


def test_traces_of_a_kernel_are_those_of_its_places():
    layer = tg.Layer(tg.Conv((1, 5, 5), 2, 3), tg.LIF())
    net = tg.Network(layer, readout=tg.Readout(18, 3), dt=1e-3)
    # 2 x 3 x 3 neurons with 9 synapses each, listed: a trace each, and that filtered for e-prop.
    assert audit(net, tg.rules.block_diagonal()).memory.of_synapses == 2 * 18 * 9
    assert audit(net, tg.rules.sltt()).memory.of_synapses == 0
