"""Needs: what a rule asks of a network, each a function that refuses in one sentence."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from tracegrad.learn.local import Local, local
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
        _require_single(name, stage)
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
        _require_single(name, stage)
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


def _is_surrogate(node: object) -> bool:
    return isinstance(node, AbstractSurrogate)


def _require_single(name: str, stage: Stage) -> None:
    if len(states := stage.rest(1).s) != 1:
        raise ValueError(
            f"The rule needs neurons of one state, got {type(stage.neuron).__name__} with "
            f"{', '.join(states)} in {name}. Use LIF(), or a rule with a trace per synapse such as "
            "eprop()."
        )


def _constant(values: Array) -> bool:
    """Whether all samples (first axis) agree, up to rounding."""
    return bool(jnp.all(jnp.abs(values - values[:1]) <= 1e-6 * jnp.abs(values[:1])))


def _probed(network: Network) -> Iterator[tuple[str, Stage, Local]]:
    """Each stage with its local derivatives at random states, one a sample.

    Neuron parameters are moved at random, so that equal ones which could learn apart are seen.
    """
    names = [f"layer {index}" for index in range(len(network.layers))] + ["the readout"]
    circuit, locals_ = _derivatives(network.init(jax.random.key(0)))
    yield from zip(names, circuit.stages, locals_, strict=True)


@eqx.filter_jit
def _derivatives(network: Network) -> tuple[Circuit, tuple[Local, ...]]:
    keys = iter(jax.random.split(jax.random.key(1), 1000))

    def moved(leaf: Array) -> Array:
        return leaf + 0.1 * jax.random.normal(next(keys), leaf.shape, leaf.dtype)

    def drawn(leaf: Array) -> Array:
        return jax.random.normal(next(keys), leaf.shape, leaf.dtype)

    circuit = jax.tree.map(moved, network).discretise().detach_reset()
    before = jax.tree.map(drawn, circuit.rest(_SAMPLES))
    currents = [
        {port: drawn(state.z) for port in ports(stage.neuron)}
        for stage, state in zip(circuit.stages, before, strict=True)
    ]
    return circuit, tuple(map(local, circuit.stages, before, currents))
