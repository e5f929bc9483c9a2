"""Wiring, and the audit of convolutions: synapses that there are, sums over places by name."""

import jax
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.inspect.audit import audit
from tracegrad.inspect.locality import QUICK
from tracegrad.inspect.wiring import Wiring, wiring

CONV = tg.Conv((2, 5, 6), channels=3, kernel=(3, 2), stride=(2, 1), padding=(1, 0), bias=True)
LOCAL = tg.rules.eprop(signal=tg.signals.Random())


@pytest.mark.parametrize(
    "connection",
    [
        CONV,
        tg.Pool((2, 5, 6), kernel=(2, 3), stride=(1, 2), padding=1),
        tg.Sparse.random(9, 6, 0.3, seed=1),
        tg.Dense(4, 3),
    ],
)
def test_synapses_are_those_of_the_matrix(connection):
    weight, *_ = connection.init(jax.random.key(0)).maps()
    there = np.asarray(weight if isinstance(connection, tg.Dense) else weight.matrix()) != 0
    found = wiring(connection)
    assert found[:3] == (there.sum(), there.sum(1).max(), there.sum(0).max())
    assert found.shared == isinstance(connection, tg.Conv | tg.Pool)
    assert found.learns == (not isinstance(connection, tg.Pool))


def test_a_kernel_with_one_place_is_not_shared():
    assert wiring(tg.Conv((2, 3, 3), channels=4, kernel=3)) == Wiring(72, 18, 4)


@pytest.fixture(scope="module")
def seen():
    """A convolution, a pool without weights, and a layer of plain synapses."""
    pool = tg.Pool(CONV.out_shape, kernel=(3, 5), gain=15.0)
    neuron = tg.LIF()
    net = tg.Network(
        tg.Layer(CONV, neuron),
        tg.Layer(pool, neuron),
        tg.Layer(tg.Dense(pool.outputs, 2, bias=True), neuron),
        readout=tg.Readout(2, 2),
        dt=1e-3,
    )
    with pytest.MonkeyPatch.context() as patch:
        if jax.__version_info__ < (0, 11):  # the older generator compiles in half the time
            patch.setitem(QUICK, "xla_cpu_use_fusion_emitters", False)
        return audit(net, LOCAL)


def test_a_shared_kernel_sums_over_its_places_and_is_not_local(seen):
    kernel, bias = (seen.needs[f"layers.0.{kind}"] for kind in ("weight", "bias"))
    assert kernel.shared and bias.shared and not kernel.local and not seen.local
    assert not kernel.layer and not kernel.beyond and not kernel.transport
    assert seen.needs["layers.2.weight"].local and not seen.needs["layers.2.bias"].shared
    assert "layers.1.weight" not in seen.needs, "a pool has no weight to learn"
    header = next(line for line in str(seen).splitlines() if "parameter" in line)
    assert "shared" in header


def test_an_audit_counts_the_synapses_that_there_are(seen):
    wired = wiring(CONV)
    assert seen.synapses == wired.synapses + 45 + 2 * 3 + 2 * 2
    assert seen.operations.forward_per_spike == wired.fan_out == 3 * 2 * 2
    # of every synapse on the line the trace of the membrane, and what the readout's filter keeps
    assert seen.operations.learning_per_spike == 2 * wired.fan_out
