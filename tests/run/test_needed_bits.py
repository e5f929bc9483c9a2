"""Needed bits: by hand where a grid is exact, by looking step by step, and on the command line."""

import json
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracegrad as tg
from demands import dense
from tiny import make_tiny
from tracegrad.errors import UsageError
from tracegrad.learn.plans.step import Step
from tracegrad.run import cli, needed_bits
from tracegrad.run.evaluate import on_device
from tracegrad.run.needed_bits import Lesson, agreement, fewest, gradient, largest, rounded_to
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.presets import load
from tracegrad.substrate.rounding import Stochastic
from tracegrad.substrate.substrate import IDEAL
from tracegrad.substrate.widths import Needed, widths


@pytest.fixture(scope="module")
def lesson():
    layer = tg.Layer(tg.Dense(6, 5, gain=4.0), tg.LIF(), recurrent=tg.Dense(5, 5))
    net = tg.Network(layer, readout=tg.Readout(5, 2), dt=1e-3).init(jax.random.key(1))
    data = on_device(next(make_tiny().test.batches(6, None))).real
    return Lesson(net, tg.rules.eprop(), tg.losses.cross_entropy(), data)


@pytest.mark.parametrize("least", range(2, 25))
def test_the_least_that_is_enough_is_found_in_few_tries(least):
    tried = []
    assert fewest(lambda bits: not tried.append(bits) and bits >= least) == least
    assert len(tried) <= 5


def test_where_no_bits_are_enough_there_is_no_number():
    assert fewest(lambda bits: False) is None


def test_weights_on_a_grid_need_the_bits_of_the_grid(lesson):
    # Multiples of 1/4 up to 1: whole numbers to 4, which take 4 bits with the sign (to 7). Xylo has
    # no headroom. In 3 bits, to 3, the least significant bit would be 1/2.
    def on_grid(a):
        k = jnp.round(3 * jnp.sin(jnp.arange(a.size))).reshape(a.shape) / 4
        return k.at[0, 0].set(1.0)

    matrices = lambda n: (n.layers[0].input.weight, n.layers[0].recurrent.weight,  # noqa: E731
                          n.readout.input.weight)  # fmt: skip
    grid = lesson._replace(
        network=eqx.tree_at(matrices, lesson.network, replace_fn=on_grid),
        data=lesson.data._replace(xs=4 * lesson.data.xs),
    )
    held = partial(rounded_to, "weights", peak=1.0, format=None, preset=load("xylo"))
    exact = gradient(grid, IDEAL)
    assert all(np.any(part) for part in exact)
    assert agreement(exact, gradient(grid, held(bits=4))) == pytest.approx(1)
    assert agreement(exact, gradient(grid, held(bits=3))) < needed_bits.ENOUGH


def test_the_largest_of_each_kind_is_that_of_every_step(lesson):
    """One step of the plan after the other, looking at what it carries."""
    found = largest(lesson)
    plan = Step(rule=lesson.rule, loss=lesson.loss)
    circuit, data = lesson.network.discretise(), lesson.data
    stream = plan.rest(circuit, data.xs.shape[1], jax.random.key(0))
    traces, states = [], [1.0]  # the threshold
    for t in range(data.xs.shape[0]):
        part = jax.tree.map(lambda a, t=t: a[t : t + 1], data)
        stream = plan.block(circuit, (), stream, part).stream
        traces += [float(jnp.abs(a).max()) for a in jax.tree.leaves(stream.memory)]
        states += [float(jnp.abs(a).max()) for a in jax.tree.leaves([s.s for s in stream.state])]
    assert found["traces"] == pytest.approx(max(traces), rel=1e-5)
    assert found["states"] == pytest.approx(max(states), rel=1e-5) and max(states) > 1
    # Symmetric feedback of cross-entropy: |W^T (p - y)| w, here below the largest weights' sum.
    out = np.abs(np.asarray(lesson.network.readout.input.weight))
    most = float(np.max(out.sum(0)) * np.max(np.asarray(data.weight)))
    assert 0 < found["signals"] <= most


def test_the_point_lies_where_the_largest_number_fits():
    # ReckOn: 12 bits without sign; 15.07 takes 4 bits before the point. 16 with the sign for 0.3.
    reckon = load("reckon")
    traces = rounded_to("traces", 12, 15.07, reckon.numbers.traces, reckon).traces
    assert traces.format == Fixed(12, 8, signed=False) and traces.rounding == Stochastic()
    assert traces.format.high * traces.format.lsb > 15.07
    signals = rounded_to("signals", 16, 0.3, reckon.numbers.signals, reckon).signals
    assert signals.format == Fixed(16, 16)
    assert rounded_to("states", 9, 1.0, None, reckon).states.format == Fixed(9, 7)


def test_fewer_bits_than_needed_lose_the_gradient(lesson, monkeypatch):
    preset = load("mcu8")
    format = preset.numbers.traces
    monkeypatch.setattr(needed_bits, "formats", lambda *_: {"traces": format})
    (needed,) = needed_bits.needed_bits(lesson, dense(1, 1, 1), preset).values()
    exact, peak = gradient(lesson, IDEAL), largest(lesson)["traces"]

    def cosine(bits):
        return agreement(exact, gradient(lesson, rounded_to("traces", bits, peak, format, preset)))

    assert 2 < needed.bits < 24
    assert cosine(needed.bits) >= needed_bits.ENOUGH > cosine(needed.bits - 1)
    assert needed.cosine == pytest.approx(cosine(16))


def test_a_rule_without_traces_needs_no_bits_for_them(lesson):
    asked = dense(1, 1, 1)
    offline = lesson._replace(rule=tg.rules.bptt())
    assert list(largest(offline)) == ["states"]
    assert gradient(offline, IDEAL)[0].shape == (5, 6)
    with pytest.raises(UsageError, match="no bits can be measured"):
        silent = lesson._replace(data=lesson.data._replace(xs=0 * lesson.data.xs))
        needed_bits.needed_bits(silent, asked, load("mcu8"))


def test_enough_bits_fit_and_too_few_leave_it_open():
    asked = dense(1, 1, 1, ("synapse_trace",))
    found = {
        "weights": Needed(8, 0.995),
        "states": Needed(17, 0.97),
        "traces": Needed(None, -0.1),
        "signals": Needed(5, None),
    }
    rows = {check.what: check for check in widths(asked, load("reckon"), found)}
    assert rows["bits of weights"][1:] == ("8", "8", True, "R")
    told = "16, a gradient of cosine 0.97"
    assert rows["bits of states"][1:] == ("17", told, None, "R")
    assert rows["bits of traces"].fits is False
    assert rows["bits of traces"].needed == "more than any"
    spinnaker = widths(asked, load("spinnaker2"), {"signals": Needed(5, None)})
    assert spinnaker[0][1:] == ("5", "unknown", None, "")
    blind = {check.what: check for check in widths(asked, load("loihi1"), None)}
    assert blind["bits of traces"][1:] == ("unknown", "9", None, "L"), "a tag beside each weight"
    assert blind["bits of signals"][1:] == ("unknown", "unknown", None, "")


def test_an_audit_of_a_run_measures_its_bits(done, tiny_digits, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(needed_bits, "fewest", lambda enough: 8 if enough(8) else None)
    out = tmp_path / "audit.json"
    command = ["audit", "eprop", str(done.path), "--samples", "3"]
    assert cli.main([*command, "--substrate", "mcu8", "--out", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "8 neurons" not in text and "10 neurons, 128 synapses" in text
    found = {c["what"]: c for c in json.loads(out.read_text())["substrate"]["checks"]}
    assert found["bits of weights"]["there"].startswith("8")
    assert found["bits of signals"]["needed"] == "8" and found["bits of signals"]["fits"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--hidden", "9"], "--run has a network of its own. Leave out the options"),
        (["--samples", "0"], "--samples must be at least 1, got 0."),
    ],
)
def test_wrong_options_of_a_run_are_refused(more, message, done, tiny_digits, capsys):
    assert cli.main(["audit", "eprop", "--run", str(done.path), *more]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--substrate", "mcu8"]])
def test_samples_that_nothing_is_measured_on_are_refused(more, capsys):
    assert cli.main(["audit", "eprop", "--samples", "3", *more]) == 2
    assert "--samples are measured on with --run and --substrate" in capsys.readouterr().err
