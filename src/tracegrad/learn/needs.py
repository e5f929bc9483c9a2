"""Needs: what a rule asks of a network, each a function that refuses in one sentence."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from tracegrad.learn.local import Local, local
from tracegrad.model.double_exponential import DoubleExponential
from tracegrad.model.li import LI
from tracegrad.model.lif import LIF
from tracegrad.model.memoryless import Memoryless
from tracegrad.model.network import Circuit, Network
from tracegrad.model.neuron import ports
from tracegrad.model.stage import Stage
from tracegrad.model.surrogate import AbstractSurrogate

_SAMPLES = 3


def one_shared_leak(network: Network) -> None:
    """Refuse all but one state with one constant leak a layer and a constant drive.

    Such a neuron's traces depend on the presynaptic line only. Resets are taken as detached.
    """
    for name, stage, here in _probed(network):
        ((row, own),) = here.own.items()
        shared = _constant(own[row].reshape(-1, 1))
        steady = all(_constant(drive) for drive in here.drive[row].values())
        if not (shared and steady):
            raise ValueError(
                f"A presynaptic trace needs one leak for the whole layer and a constant drive, got "
                f"{type(stage.neuron).__name__} of another kind in {name}. Give LIF, LI or the "
                "readout one time constant and a SubtractReset, or use ostl(recurrence=False)."
            )


def rate_units(network: Network) -> None:
    """Refuse hidden neurons that spike, or that have more than one state with a constant leak."""
    for name, stage, here in list(_probed(network))[:-1]:
        ((row, own),) = here.own.items()
        spikes = any(
            isinstance(node, AbstractSurrogate)
            for node in jax.tree.leaves(stage.neuron, is_leaf=_is_surrogate)
        )
        if spikes or not _constant(own[row]) or not _constant(here.emit[row]):
            raise ValueError(
                f"The rule needs rate units with a constant leak, got {type(stage.neuron).__name__}"
                f" in {name}. Use Tanh() or LI(), or eprop() for neurons that spike."
            )


def no_recurrence(network: Network) -> None:
    """Every layer is feed-forward."""
    if any(layer.recurrent is not None for layer in network.layers):
        raise ValueError(
            "This rule is for feed-forward layers, got a recurrent connection. Leave it out, or "
            "use eprop()."
        )


def one_leak(network: Network) -> None:
    """All layers, and the readout if it leaks, are of one state with one leak that stays."""
    neurons = [layer.neuron for layer in network.layers]
    wrong = [type(neuron).__name__ for neuron in neurons if not isinstance(neuron, LIF | LI)]
    if wrong or not isinstance(network.readout.neuron, LI | Memoryless):
        names = ", ".join(wrong) or type(network.readout.neuron).__name__
        raise ValueError(
            f"This rule knows neurons of one leaky state, LIF or LI, got {names}. Use "
            "block_diagonal() or eprop()."
        )
    leaky = [n for n in (*neurons, network.readout.neuron) if isinstance(n, LIF | LI)]
    values = np.concatenate([np.ravel(n.tau_mem.value) for n in leaky])
    # The same number given twice may differ by the rounding of its logarithm.
    if np.ptp(values) > 1e-6 * values.max():
        raise ValueError(
            f"This rule needs one tau_mem for all layers and the readout, got {values.tolist()}. "
            "Make them equal, or use block_diagonal() or eprop()."
        )
    named = zip(*map(jax.tree.leaves, (network.names(), network.learning())), strict=True)
    learning = [name for name, learns in named if learns and name.endswith("tau_mem")]
    if learning:
        raise ValueError(
            f"This rule needs one tau_mem that stays, but {', '.join(learning)} learns. Use "
            "network.freeze('*.tau_mem')."
        )


def double_exponential_readout(network: Network) -> None:
    """The readout filters with the double exponential of the van Rossum distance."""
    if not isinstance(network.readout.neuron, DoubleExponential):
        raise ValueError(
            "superspike needs a readout with the double exponential of its loss, got "
            f"{type(network.readout.neuron).__name__}. Use Readout.of(DoubleExponential(), ...), "
            "or eprop()."
        )


def actions_and_value(network: Network) -> None:
    """The readout has a unit for each of two actions or more, and one for the value."""
    outputs = network.readout.input.outputs
    if outputs < 3:
        raise ValueError(
            f"reward_eprop reads one unit for each action and one for the value, got {outputs} "
            "outputs. Give Readout at least 3."
        )


def _is_surrogate(node: object) -> bool:
    return isinstance(node, AbstractSurrogate)


def _constant(values: Array) -> bool:
    """Whether all samples (first axis) agree, up to rounding."""
    return bool(jnp.all(jnp.abs(values - values[:1]) <= 1e-6 * jnp.abs(values[:1])))


def _probed(network: Network) -> Iterator[tuple[str, Stage, Local]]:
    """Each stage with its local derivatives at random states, one a sample; one state each.

    Neuron parameters are moved at random, so that equal ones which could learn apart are seen.
    """
    names = [f"layer {index}" for index in range(len(network.layers))] + ["the readout"]
    neurons = [*(layer.neuron for layer in network.layers), network.readout.neuron]
    rest = eqx.filter_eval_shape(lambda: network.init(jax.random.key(0)).discretise().rest(1))
    for name, neuron, state in zip(names, neurons, rest, strict=True):
        if len(state.s) != 1:
            raise ValueError(
                f"The rule needs neurons of one state, got {type(neuron).__name__} with "
                f"{', '.join(state.s)} in {name}. Use LIF(), or a rule with a trace per synapse "
                "such as eprop()."
            )
    circuit, locals_ = _derivatives(network.init(jax.random.key(0)))
    yield from zip(names, circuit.stages, locals_, strict=True)


@eqx.filter_jit
def _derivatives(network: Network) -> tuple[Circuit, tuple[Local, ...]]:
    rng = np.random.default_rng(0)

    def drawn(leaf: Array) -> Array:
        return jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)

    moved = jax.tree.map(lambda leaf: leaf + 0.1 * drawn(leaf), network)
    circuit = moved.discretise().detach_reset()
    before = jax.tree.map(drawn, circuit.rest(_SAMPLES))
    currents = [
        {port: drawn(state.z) for port in ports(stage.neuron)}
        for stage, state in zip(circuit.stages, before, strict=True)
    ]
    return circuit, tuple(map(local, circuit.stages, before, currents))
