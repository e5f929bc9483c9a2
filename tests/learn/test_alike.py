"""alike: the states whose traces are the same for all neurons, read off the neuron itself."""

import jax.numpy as jnp
import pytest

import tracegrad as tg
from tracegrad.learn.alike import alike
from tracegrad.learn.influence import Block

IMPLICIT, STRICT = Block(self_weight=False, reset=False), Block()
PER_NEURON = jnp.array([10e-3, 12e-3, 14e-3])


def hidden(neuron, influence, recurrent=True):
    """What is alike in a layer of 3 such neurons."""
    again = tg.Dense(3, 3) if recurrent and neuron.recurrent_ports else None
    layer = tg.Layer(tg.Dense(2, 3), neuron, recurrent=again)
    net = tg.Network(layer, readout=tg.Readout(3, 2), dt=1e-3)
    of_layer, of_readout = alike(net, influence)
    assert of_readout == {"v"}
    return of_layer


@pytest.mark.parametrize(
    ("neuron", "states"),
    [
        (tg.LIF(), {"v"}),
        (tg.CubaLIF(), {"v", "i_syn"}),
        (tg.CubaLIF(tau_mem=PER_NEURON), {"i_syn"}),
        (tg.CubaLIF(tau_syn=PER_NEURON), set()),
        # v knows only its own leak, but remembers i_syn
        (tg.CubaLIF(tau_syn=PER_NEURON, old_current=True, normalised=False), set()),
        (tg.ALIF(), {"v"}),  # the threshold hears the neuron's spikes
        (tg.ALIF(refractory_steps=3), {"v"}),
        (tg.Izhikevich(), set()),  # v is quadratic in itself
        (tg.Tanh(), set()),
        (tg.GRU(), set()),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else type(value).__name__,
)
def test_what_is_alike_without_explicit_recurrence(neuron, states):
    assert hidden(neuron, IMPLICIT) == states


def test_a_reset_or_a_self_weight_that_is_kept_makes_neurons_differ():
    assert hidden(tg.CubaLIF(), Block(self_weight=False)) == {"i_syn"}
    assert hidden(tg.CubaLIF(), STRICT) == set()
    assert hidden(tg.CubaLIF(), STRICT, recurrent=False) == {"i_syn"}
    assert hidden(tg.CubaLIF(reset=tg.NoReset()), STRICT, recurrent=False) == {"v", "i_syn"}


def test_other_influences_have_none():
    net = tg.Network(tg.Layer(tg.Dense(2, 3), tg.LIF()), readout=tg.Readout(3, 2), dt=1e-3)
    assert alike(net, tg.rules.rtrl().influence) == ()
