"""Needs: what a rule requires of a network, each refused in one sentence with the way out."""

import jax
import numpy as np

from tracegrad.model.double_exponential import DoubleExponential
from tracegrad.model.li import LI
from tracegrad.model.lif import LIF
from tracegrad.model.memoryless import Memoryless
from tracegrad.model.network import Network


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
