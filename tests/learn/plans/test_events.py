"""events: the same gradient as the plain plans, to the last bits, whatever the input and shape."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax import random

import claims
import oracle
import tracegrad as tg
from claims import assert_differ, assert_equal, block, gradient, network
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.step import Step
from tracegrad.native import compiler
from tracegrad.native.scalar import NoCodeError

rules = tg.rules
PENALTY = tg.RateRegulariser(strength=2.0, target=0.1)
LOSS = tg.losses.mean_squared_error(PENALTY)


def deep():
    return network(tg.LIF(tau_mem=10e-3), tg.ALIF(tau_mem=10e-3, refractory_steps=3))


def ragged(steps=claims.STEPS, batch=5):
    """Sequences of different lengths, with a hole in one; inputs are small counts."""
    lengths = random.randint(random.key(8), (batch,), steps // 2, steps + 1)
    valid = (jnp.arange(steps)[:, None] < lengths[None]).at[3, 1].set(False)
    counts = random.randint(random.key(9), (steps, batch, claims.INPUTS), 0, 3)
    xs = claims.inputs(steps, batch) * counts
    weight = jnp.where(valid, claims.weights(steps, batch), 0.0)
    return Data(xs, claims.targets(steps, batch), weight, valid)


@pytest.mark.parametrize("all_layers", [False, True])
def test_eprop_with_events_is_ad_with_cut_edges(all_layers):
    net = network(tg.CubaLIF(tau_mem=10e-3, normalised=False), tg.Tanh(), all_layers=all_layers)
    ours = gradient(net, rules.eprop(), loss=LOSS, plan=Events)
    given = (claims.inputs(), claims.targets(), claims.weights())
    assert_equal(ours, oracle.gradient(net, oracle.IMPLICIT, LOSS, *given))
    assert_differ(ours, gradient(net, rules.bptt(), loss=LOSS), "layers.0.input.weight")


@pytest.mark.parametrize("readout", [tg.Integrator(), tg.DoubleExponential()])
def test_ragged_sequences_and_chains_of_taps(readout):
    net = network(tg.LIF(tau_mem=10e-3), tg.CubaLIF(tau_mem=10e-3, normalised=False))
    last = tg.Readout.of(readout, net.layers[-1].input.outputs, claims.OUTPUTS)
    net = tg.Network(*net.layers, readout=last, dt=net.dt).init(random.key(3))
    step, events = (
        block(net, rules.block_diagonal(), loss=LOSS, data=ragged(), plan=plan)
        for plan in (Step, Events)
    )
    claims.assert_alive(net, step.rates)
    assert_equal(events.gradient, step.gradient)
    for ours, theirs in zip(
        jax.tree.leaves((events.outputs, events.rates, events.loss, events.stream.state)),
        jax.tree.leaves((step.outputs, step.rates, step.loss, step.stream.state)),
        strict=True,
    ):
        assert jnp.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("batch", "size", "steps"), [(1, 3, 40), (9, 150, 12), (33, 17, 7)])
def test_any_shape_in_float32(batch, size, steps):
    """Columns of 64 and 16 neurons with a rest, one sample and more than threads, odd lines."""
    layer = tg.Layer(tg.Dense(37, size, gain=5.0), tg.LIF(), recurrent=tg.Dense(size, size))
    net = tg.Network(layer, readout=tg.Readout(size, 2), dt=1e-3).init(random.key(0))
    net = jax.tree.map(lambda a: a.astype(jnp.float32), net)
    xs = random.bernoulli(random.key(1), 0.3, (steps, batch, 37)).astype(jnp.float32)
    ys = random.normal(random.key(2), (steps, batch, 2), jnp.float32)
    data = Data(xs, ys, jnp.ones((steps, batch), jnp.float32), None)
    chunk, events = (
        gradient(net, rules.eprop(), data=data, plan=plan)
        for plan in (lambda r, c: Chunk(r, c, False), Events)
    )
    assert_equal(events, chunk, tolerance=1e-5)


def test_frozen_coefficients_cost_nothing_and_change_nothing():
    net = deep()
    every = gradient(net, rules.block_diagonal(), plan=Events)
    some = gradient(
        net, rules.block_diagonal(), plan=lambda r, c: Events(r, c, (False, True, True))
    )
    assert_equal(some.layers[1], every.layers[1])
    assert jnp.allclose(some.layers[0].input.weight, every.layers[0].input.weight, rtol=1e-12)
    assert not jnp.any(some.layers[0].neuron.tau_mem.log)
    assert jnp.any(every.layers[0].neuron.tau_mem.log)


class Sorting(tg.LIF):
    """A neuron whose equations have no form in C."""

    def output(self, c, s):
        """Through an array."""
        return self.surrogate(jnp.sort(jnp.stack([s["v"], s["v"] - 1.0]))[0])


def test_a_neuron_without_a_form_in_c_is_refused_by_name():
    with pytest.raises(NoCodeError, match="sort|concatenate"):
        block(network(Sorting(tau_mem=10e-3)), rules.eprop(), plan=Events)


def test_no_compiler_is_said(monkeypatch):
    monkeypatch.setattr(compiler, "compiler", lambda: None)
    with pytest.raises(compiler.NoCompilerError, match="CC"):
        compiler.target("int nothing;", "forward")


def test_code_that_no_compiler_takes_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "_cache", lambda: tmp_path)
    with pytest.raises(compiler.NoCompilerError, match="refused"):
        compiler.target("this is no C", "forward")
    assert not list(tmp_path.iterdir())


CLEAN = """
import ctypes, jax
jax.config.update("jax_enable_x64", True)
import claims, tracegrad as tg
from tracegrad.learn.plans.events import Events
from test_events import LOSS, deep, ragged
net = deep()
done = claims.block(net, tg.rules.block_diagonal(), loss=LOSS, data=ragged(), plan=Events)
claims.assert_alive(net, done.rates)
print("clean")
"""


@pytest.mark.parametrize("kind", ["address,undefined"])
def test_native_code_is_clean_under_sanitisers(kind, tmp_path):
    made = compiler.compiler()
    found = (
        made
        and subprocess.run(
            [made, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    if not found or not os.path.isabs(found):
        pytest.skip("the compiler has no address sanitiser")
    folders = [os.path.dirname(__file__), os.path.dirname(claims.__file__)]
    environment = os.environ | {
        "LD_PRELOAD": found,
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1",
        "TRACEGRAD_CACHE": str(tmp_path),
        "TRACEGRAD_CFLAGS": f"-fsanitize={kind} -fno-sanitize-recover=all -g -O1",
        "PYTHONPATH": os.pathsep.join(folders),
    }
    done = subprocess.run(
        [sys.executable, "-c", CLEAN], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("clean")
    assert list(tmp_path.glob("*.so"))
