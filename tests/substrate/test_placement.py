"""Placement: cores, their memory and their axons, with numbers worked out by hand.

Of Loihi, nengo-loihi's `block.py` has 1024 compartments, 4096 axons in, 4096 axons out and
1,048,576 bits of synapses a core; the magazine has 128 cores.
"""

from dataclasses import replace

import pytest

import tracegrad as tg
from demands import PLAIN, dense
from tracegrad.inspect import audit
from tracegrad.run.hosting import demand
from tracegrad.substrate.demand import Population
from tracegrad.substrate.fit import fit
from tracegrad.substrate.placement import Room, place
from tracegrad.substrate.presets import load, parse

LOIHI = Room(neurons=1024, synapse_bits=1_048_576, width=8, axons_in=4096, axons_out=4096)


def checks(asked, name):
    return {check.what: check for check in fit(asked, load(name)).checks}


def test_memory_of_a_core_bounds_its_neurons():
    # 3700 synapses of 8 bits a neuron: 1,048,576 // 29,600 = 35 neurons, 3000 / 35 -> 86 cores of
    # 35; the readout's 10 x 3000 x 8 bits take one more. 35 neurons reach 86 + 1 cores.
    found = checks(dense(700, 3000, 10), "loihi1")
    assert found["cores"].needed == "87" and found["cores"].fits
    assert found["memory of a core"].needed == f"{35 * 3700:,} bytes"
    assert found["axons into a core"].needed == "3,700"
    assert found["axons out of a core"].needed == f"{35 * 87:,}"
    assert all(found[what].source == "N" for what in ("memory of a core", "axons out of a core"))
    # With a tag of 9 bits beside each weight 16 neurons fill a core, and 188 cores are not there,
    # nor 180, which is all bits over those of a core.
    tagged = checks(dense(700, 3000, 10, (*PLAIN, "synapse_trace")), "loihi1")
    assert tagged["cores"].fits is False
    least = -(-(3000 * 3700 + 10 * 3000) * 17 // 1_048_576)
    assert tagged["cores"].needed == f"at least {least}" == "at least 181"


def test_a_number_beside_each_weight_of_unknown_width_is_not_taken_for_none():
    loihi = load("loihi1")
    untold = replace(loihi, numbers=replace(loihi.numbers, tags=None))
    kept = dense(700, 3000, 10, (*PLAIN, "synapse_trace"))
    found = {check.what: check for check in fit(kept, untold).checks}
    assert found["cores"].fits is None and found["memory of a core"].fits is None
    assert found["memory of a core"].needed == "at least 3,700 synapses of unknown width"


def test_axons_into_a_core_are_the_lines_that_a_neuron_hears():
    assert checks(dense(4000, 96, 10), "loihi1")["axons into a core"].fits is True
    over = checks(dense(4000, 97, 10), "loihi1")["axons into a core"]
    assert over.fits is False and over.needed == "at least 4,097" and over.there == "4,096"
    # DYNAP-SE2: 2048 tags, whatever else does not fit there.
    assert checks(dense(2000, 48, 10), "dynapse2")["axons into a core"].fits is True
    tags = dense(2000, 49, 10)
    assert checks(tags, "dynapse2")["axons into a core"].fits is False


def test_axons_out_spread_a_layer_over_more_cores():
    # Of 4 cores with 1024 neurons each would reach 10: 10,240 axons out. 4096 // 10 = 409 neurons
    # a core make 11 cores of 373.
    below = Population(4096, 100, 10, 10, (1,))
    above = Population(10_240, 4096, 10, 10)
    found = place((below, above), LOIHI, 128)
    assert found is not None
    assert (found.cores, found.shares) == ((11, 10), (373, 1024))
    assert found.axons_out == 3730 and found.axons_in == 4096
    free = place((below, above), LOIHI._replace(axons_out=None), 128)
    assert free is not None and free.cores == (4, 10)


def test_few_lines_of_many_reach_a_core_with_few_neurons():
    # Each neuron hears 10 of 5000 lines: 409 neurons hear 4090 at most.
    found = place((Population(1000, 5000, 10, 10),), LOIHI, 128)
    assert found is not None
    assert found.cores == (3,) and found.shares == (334,) and found.axons_in == 3340


def test_a_neuron_too_large_for_a_core_has_no_place():
    assert place((Population(10, 131_073, 1, 131_073),), LOIHI, 128) is None


def test_a_layered_placement_that_takes_too_many_cores_proves_nothing():
    """Other ways to lay it may do, as long as all numbers together would fit."""
    parts = tuple(Population(1, 1, 1, 1) for _ in range(129))
    asked = dense(1, 1, 1)._replace(populations=parts)
    cores = checks(asked, "loihi1")["cores"]
    assert cores.fits is None and cores.needed == "at least 1, 129 layer by layer"


def test_readouts_of_their_own_take_no_core():
    own = parse(
        'name = "Own"\nkind = "digital"\nsummary = "a chip"\n[sources]\nA = "its manual"\n'
        "[limits]\noutputs = { value = 9, source = 'A' }\ncores = { value = 4, source = 'A' }\n"
        "neurons_per_core = { value = 8, source = 'A' }\n",
        "own.toml",
    )
    found = {check.what: check for check in fit(dense(3, 8, 2), own).checks}
    assert found["cores"].needed == "1" and found["axons out of a core"].needed == "8"


def test_what_a_preset_does_not_have_is_unknown():
    asked = dense(40, 64, 10)
    two = checks(asked, "loihi2")
    for what in ("memory of a core", "axons into a core", "axons out of a core", "routes"):
        assert (two[what].there, two[what].fits) == ("unknown", None), what
    assert two["cores"].fits is None, "neurons of a core are unknown"
    spinnaker = checks(asked, "spinnaker2")
    assert spinnaker["routes"].fits and spinnaker["routes"].there == "16,384"
    assert spinnaker["memory of a core"].fits is None
    many = checks(dense(16_000, 385, 10), "spinnaker2")["routes"]
    assert many.fits is None, "sources can share a route"
    one = checks(asked, "brainscales2")
    assert one["axons into a core"].needed == "104" and "cores" not in one


@pytest.mark.parametrize(("neuron", "currents"), [(tg.LIF(), 1), (tg.TwoCompartment(), 2)])
def test_populations_of_a_network_are_counted_synapse_by_synapse(neuron, currents):
    first = tg.Layer(tg.Dense(5, 6), neuron, recurrent=tg.Dense(6, 6))
    second = tg.Layer(tg.Dense(6, 4), tg.LIF())
    net = tg.Network(first, second, readout=tg.Readout(10, 3, all_layers=True), dt=1e-3)
    rule = tg.rules.ottt() if currents == 1 else tg.rules.block_diagonal()
    asked = demand(net, audit(net, rule))
    back = len(neuron.recurrent_ports)
    into = 5 * len(neuron.feedforward_ports) + 6 * back
    assert asked.populations == (
        Population(6, 11, 11, into, (0, 1, 2)),
        Population(4, 6, 6, 6, (2,)),
        Population(3, 10, 10, 10),
    )
    assert sum(p.neurons * p.synapses for p in asked.populations) == asked.synapses
    assert asked.fan_in == max(into, 10)
