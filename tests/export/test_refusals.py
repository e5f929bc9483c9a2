"""What has no exact form on a device is refused by name, with the way out."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracegrad as tg
from tracegrad.data import TASKS
from tracegrad.errors import UsageError
from tracegrad.export.cells import Bounds, Points, cell
from tracegrad.export.exact import exponent, require_exact, whole
from tracegrad.export.refusals import check_network, check_substrate
from tracegrad.export.slopes import slope_table
from tracegrad.export.stream import stream
from tracegrad.model import surrogate as surrogates
from tracegrad.run import cli
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.mismatch import Mismatch
from tracegrad.substrate.number import Number
from tracegrad.substrate.rounding import AbstractRounding, Nearest
from tracegrad.substrate.slopes import HeldSurrogate
from tracegrad.substrate.substrate import Placed
from tracegrad.substrate.update import AbstractUpdate
from tracegrad.substrate.weights import Weights


class Up(AbstractRounding):
    """A rounding that is not the library's."""

    def __call__(self, x, state):
        return jnp.ceil(x), state


class Rarely(AbstractUpdate):
    """An update that is not the library's."""

    rounding: AbstractRounding = Nearest()

    def begin(self, weight):
        return ()

    def __call__(self, change, kept, state):
        return jnp.zeros_like(change), kept, state


HELD = Number(Fixed(16, 8))


def test_what_is_exact_in_float64():
    require_exact("a sum", 50, 7.0)
    with pytest.raises(UsageError, match="a sum needs 54 bits before rounding"):
        require_exact("a sum", 50, 8.0)
    assert whole("beta", 0.75, 2) == 3
    with pytest.raises(UsageError, match="beta must be a multiple of 2"):
        whole("beta", 0.75, 1)
    assert exponent("rate", 0.125) == -3 and exponent("rate", 2.0) == 1
    for wrong in (0.3, -1.0, 0.0):
        with pytest.raises(UsageError, match="rate must be a power of two"):
            exponent("rate", wrong)


@pytest.mark.parametrize(
    "surrogate", [surrogates.SuperSpike(4.0), surrogates.Triangle(), surrogates.Boxcar()]
)
def test_a_table_holds_every_slope(surrogate):
    """By hand: the plain surrogate at the nearest 1/256, rounded to 1/256, on both sides."""
    table = slope_table(HeldSurrogate(surrogate, HELD))
    k = np.arange(-3000, 3000)
    plain = np.asarray(surrogate.derivative(jnp.asarray(k / 256.0)))
    read = np.where(np.abs(k) < len(table), table[np.minimum(np.abs(k), len(table) - 1)], 0)
    assert np.array_equal(read, np.round(plain * 256)) and table[-1] != 0
    near = HeldSurrogate(surrogate, HELD).derivative(jnp.asarray(k / 256.0 + 0.4 / 256))
    assert np.array_equal(np.asarray(near) * 256, read)


def test_a_surrogate_without_an_end_is_refused():
    with pytest.raises(UsageError, match="StraightThrough needs a table of 32769 slopes"):
        slope_table(HeldSurrogate(surrogates.StraightThrough(), HELD))


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (tg.Izhikevich(), "Izhikevich has no cell in C. Choose LIF, CubaLIF or ALIF"),
        (tg.LIF(reset=tg.ZeroReset()), "subtracts the threshold at a spike, got ZeroReset"),
        (tg.LIF(v_threshold=0.75), "v_threshold must be a power of two on the device"),
        (tg.ALIF(refractory_steps=3), "ALIF has no refractory time, got 3 steps"),
        (tg.LIF(tau_mem=np.array([1e-2, 2e-2, 3e-2])), "All neurons of a device share alpha"),
    ],
)
def test_neurons_without_a_cell(neuron, message):
    net = tg.Network(tg.Layer(tg.Dense(2, 3), neuron), readout=tg.Readout(3, 2), dt=1e-3)
    read = substrate("mcu8").read(net.init(jax.random.key(0)), Placed())
    with pytest.raises(UsageError, match=message):
        cell(read.discretise().stages[0], Points(10, 12, 8, 10, 8), Bounds(32.0, 1.0, 32.0))


def network(*layers, **readout):
    net = tg.Network(*layers, readout=tg.Readout(3, 2, **readout), dt=1e-3)
    return net.init(jax.random.key(0))


def test_networks_that_the_library_has_not():
    layer, deep = tg.Layer(tg.Dense(2, 3), tg.LIF()), tg.Layer(tg.Dense(3, 3), tg.LIF())
    check_network(network(layer).freeze("*.neuron.*"))
    for net, message in (
        (network(layer, deep), "The device has one hidden layer, got 2"),
        (network(tg.Layer(tg.Dense(2, 3, bias=True), tg.LIF())), "The device has no bias"),
        (network(layer, tau=None), "readout is leaky, got Memoryless"),
        (network(layer), "no neuron does, but layers.0.neuron.tau_mem learns"),
        (network(layer).freeze("*"), "all weights learn .* but layers.0.input.weight is frozen"),
    ):
        with pytest.raises(UsageError, match=message):
            check_network(net)


def test_substrates_that_the_library_has_not():
    mcu8 = substrate("mcu8")
    check_substrate(mcu8)
    for numbers, message in (
        (replace(mcu8, slopes=None), "8-bit microcontroller has no format for slopes, so whole"),
        (replace(mcu8, mismatch=Mismatch()), "The device has no mismatch"),
        (replace(mcu8, weights=Weights(chance=0.3)), "the chance of a change must be a power of"),
        (replace(mcu8, weights=Weights(update=Rarely())), "or through an accumulator, got Rarely"),
        (replace(mcu8, traces=Number(Fixed(8), Up())), "The device does not round by Up"),
    ):
        with pytest.raises(UsageError, match=message):
            check_substrate(numbers)


def test_a_stream_is_made_of_events_and_classes():
    with pytest.raises(UsageError, match="The device learns classes, and pattern_generation"):
        stream(TASKS["pattern_generation"].make(), 3)
    block = stream(TASKS["digits"].make(), 60)
    assert block.events.shape == (60, 64) and block.events.max() == 1 and block.steps == 60


def test_the_command_line_says_what_is_missing(capsys, tmp_path):
    for arguments, message in (
        (["export"], "export needs a format and a run"),
        (["export", "c", "--out", "x"], "export c needs a run"),
        (["export", "c", str(tmp_path)], "export c needs a folder"),
        (["export", "c", str(tmp_path), "--out", "x"], "is no run folder"),
        (["export", "c", "r", "--out", "x", "--steps", "0"], "steps must be at least 1, got 0"),
        (["export", "c", "r", "--out", "x", "--rule", "hebb"], "rule must be reckon or left out"),
    ):
        assert cli.main(arguments) == 2
        assert message in capsys.readouterr().err
