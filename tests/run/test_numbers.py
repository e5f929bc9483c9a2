"""What may change while a run trains: of every rule, with an effect, the state as it is."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from tracegrad.errors import UsageError
from tracegrad.run.build import build_learner, build_parts
from tracegrad.run.config import RULES, SURROGATES
from tracegrad.run.evaluate import on_device, pad_steps
from tracegrad.run.learner_state import refitted
from tracegrad.run.numbers import adjustable_numbers, adjusted
from tracegrad.run.weights import parameters

from .conftest import TINY, learning

PLAIN = learning(TINY, update_every=None, rate_strength=0.5)
LOSS = ["rate.strength", "rate.target"]
NEURON = ["neuron.surrogate.slope"]
OWN = {
    "es_d_rtrl": ["influence.decay"],
    "fptt": ["optimiser.alpha"],
    "kernl": ["signal.noise"],
    "reward_eprop": ["influence.discount"],
}
SIGNALS = {"adaptive": ["signal.weight_decay"], "local": [], "random": [], "target": []}


def known(config, task) -> list[str]:
    return list(adjustable_numbers(build_parts(config, task)))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_offers_its_own_numbers_and_no_other(tiny, rule):
    assert known(learning(PLAIN, rule=rule), tiny) == LOSS + OWN.get(rule, []) + NEURON


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_offers_what_it_uses_and_not_what_it_was_drawn_with(tiny, signal):
    config = learning(PLAIN, signal=signal)
    assert known(config, tiny) == LOSS + SIGNALS[signal] + NEURON


@pytest.mark.parametrize("name", SURROGATES)
def test_every_surrogate_offers_its_shape(tiny, name):
    config = replace(PLAIN, network=replace(PLAIN.network, surrogate=name))
    shape = {"Triangle": ["peak"], "Boxcar": ["peak", "half_width"], "StraightThrough": []}
    ends = shape.get(name, ["slope"])
    assert known(config, tiny) == LOSS + [f"neuron.surrogate.{end}" for end in ends]


def test_a_neuron_of_ones_own_offers_what_it_declares(tiny, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import tracegrad as tg\n\n\nclass Mine(tg.LIF):\n"
        '    gain: float = tg.adjustable(2.0, "a gain", "1", closed=False)\n\n'
        "    def step(self, c, s, z, current):\n"
        "        return tg.LIF.step(self, c, s, z, self.gain * current)\n"
    )
    config = replace(PLAIN, network=replace(PLAIN.network, neuron=f"{file}:Mine"))
    assert known(config, tiny) == [*LOSS, *NEURON, "neuron.gain"]
    changed = adjusted(build_parts(config, tiny), {"neuron.gain": 3.0})
    assert [layer.neuron.gain for layer in changed.network.layers] == [3.0]


CASES = [("block_diagonal", None, name) for name in (*LOSS, *NEURON)]
CASES += [("eprop", "adaptive", "signal.weight_decay")]
CASES += [(rule, None, OWN[rule][0]) for rule in ("es_d_rtrl", "fptt", "kernl")]


@pytest.mark.parametrize(("rule", "signal", "name"), CASES, ids=[case[-1] for case in CASES])
def test_a_change_has_an_effect_and_leaves_the_state_as_it_is(tiny, rule, signal, name):
    """In the third batch: some numbers act on what was kept of the two before."""
    config = learning(PLAIN, rule=rule, signal=signal)
    data = [on_device(pad_steps(batch, 1)) for batch in tiny.train.batches(8, None)]

    def trained(**changed: float) -> dict[str, np.ndarray]:
        learner = build_learner(config, tiny)
        state = learner.init(jax.random.key(0), 8, stream=False)
        for batch in data[:2]:
            state, _ = learner.sequence(state, *batch)
        if changed:
            learner = build_learner(config, tiny, numbers=changed)
            state = refitted(state, partial(learner.init, batch=8, stream=False))
        for batch in data[2:]:
            state, _ = learner.sequence(state, *batch)
        return parameters(state.network)

    may = adjustable_numbers(build_parts(config, tiny))[name]
    factor = 50.0 if name == "signal.noise" else 0.7  # less noise than this moves no spike
    as_it_was, other = trained(**{name: may.value}), trained(**{name: factor * may.value})
    for part, value in trained().items():
        assert value.tobytes() == as_it_was[part].tobytes(), "the same number is no change"
    assert any(value.tobytes() != other[part].tobytes() for part, value in as_it_was.items())


def test_numbers_are_those_that_settings_would_give(tiny):
    there = adjusted(
        build_parts(TINY, tiny),
        {"rate.strength": 0.25, "rate.target": 0.125, "neuron.surrogate.slope": 3.0},
    )
    config = learning(TINY, rate_strength=0.25, rate_target=0.125)
    settings = build_parts(
        replace(config, network=replace(TINY.network, surrogate_slope=3.0)), tiny
    )
    assert there.loss == settings.loss
    assert [layer.neuron.surrogate for layer in there.network.layers] == [
        layer.neuron.surrogate for layer in settings.network.layers
    ]


def test_all_layers_change(tiny):
    deep = replace(TINY, network=replace(TINY.network, hidden=(5, 4, 3)))
    changed = adjusted(build_parts(deep, tiny), {"neuron.surrogate.slope": 3.0})
    assert [layer.neuron.surrogate.slope for layer in changed.network.layers] == [3.0] * 3


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rate.strength", -1.0, "rate.strength must be at least 0, got -1. It stays 0."),
        ("neuron.surrogate.slope", 0.0, "slope must be above 0, got 0. It stays 10."),
        ("influence.window", 5.0, "influence.window stays as it was at the start: .* rate.target"),
        ("rate", 5.0, "rate stays as it was at the start"),
    ],
)
def test_what_may_not_be_is_refused(tiny, name, value, said):
    with pytest.raises(UsageError, match=said):
        build_learner(TINY, tiny, numbers={name: value})


def test_a_state_of_other_shapes_is_refused(tiny):
    states = [
        build_learner(replace(TINY, network=replace(TINY.network, hidden=(n,))), tiny).init(
            jax.random.key(0), 8, stream=False
        )
        for n in (5, 6)
    ]
    with pytest.raises(UsageError, match="must hold arrays of the same shapes, got others. Train"):
        refitted(states[0], lambda key: states[1])
