"""Whatever a public constructor is given, it refuses in a sentence or makes what can be used."""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracegrad as tg

GIVEN_ELSEWHERE = ("reset", "surrogate", "signal", "filter", "rate")
SURROGATES = (tg.Arctan, tg.Boxcar, tg.Sigmoid, tg.SuperSpike, tg.Triangle)
NEURONS = (
    tg.ALIF, tg.AdEx, tg.CubaLIF, tg.DoubleExponential, tg.GRU, tg.IF, tg.Izhikevich, tg.LI, tg.LIF,
    tg.LRU, tg.LSTM, tg.ResonateAndFire, tg.Tanh, tg.TwoCompartment,
)  # fmt: skip
RULES = (
    tg.rules.decolle, tg.rules.es_d_rtrl, tg.rules.fptt, tg.rules.future_bptt, tg.rules.kernl,
    tg.rules.reward_eprop, tg.rules.snap, tg.rules.truncated_bptt,
)  # fmt: skip


class Place(NamedTuple):
    """An argument, and what uses a value in its place."""

    name: str
    use: Callable[[Any], object]


def network(neuron: Any = None, readout: Any = None, dt: Any = 1e-3) -> tg.Network:
    layer = tg.Layer(tg.Dense(4, 3), tg.LIF() if neuron is None else neuron)
    return tg.Network(layer, readout=tg.Readout(3, 2) if readout is None else readout, dt=dt)


def learner(every: Any) -> object:
    loss = tg.losses.cross_entropy()
    return tg.Learner(network(), tg.rules.eprop(), loss, optax.sgd(0.1), update_every=every)


def places() -> list[Place]:
    def of(make: Callable, use: Callable[[Any], object] = lambda made: made) -> list[Place]:
        return [
            Place(f"{make.__name__}.{name}", lambda value, name=name: use(make(**{name: value})))
            for name in inspect.signature(make).parameters
            if name not in GIVEN_ELSEWHERE
        ]

    found = [place for neuron in NEURONS for place in of(neuron, lambda made: network(made))]
    found += [place for kind in SURROGATES for place in of(kind)]
    found += [place for rule in RULES for place in of(rule)]
    found += [*of(tg.losses.actor_critic), *of(tg.losses.first_spike_latency)]
    found += of(tg.RateRegulariser)
    return [
        *found,
        Place("Network.dt", lambda value: network(dt=value)),
        Place("Readout.tau", lambda value: network(readout=tg.Readout(3, 2, tau=value))),
        Place("Dense.inputs", lambda value: tg.Dense(value, 3)),
        Place("Dense.outputs", lambda value: tg.Dense(4, value)),
        Place("Dense.gain", lambda value: tg.Dense(4, 3, gain=value)),
        Place("Dense.bias", lambda value: tg.Dense(4, 3, bias=value)),
        Place("Learner.update_every", learner),
    ]


PLACES = {place.name: place.use for place in places()}
NOTHING = {"Readout.tau", "Learner.update_every", "truncated_bptt.window"}  # None is a choice there
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=3),
    st.complex_numbers(), st.binary(max_size=2), st.lists(st.floats(), max_size=3),
    st.tuples(st.integers(), st.integers()), st.builds(dict), st.builds(object),
    st.sampled_from((np.zeros(3), np.array(math.nan), np.zeros((0, 2)), np.array(["a"]))),
    st.builds(jnp.zeros, st.just(2)),
)  # fmt: skip


def finite(value: Any) -> bool:
    try:
        return bool(np.isfinite(np.asarray(value, float)).all())
    except (TypeError, ValueError, OverflowError):
        return False


@pytest.mark.usefixtures("as_user")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it holds for all
@given(st.sampled_from(sorted(PLACES)), values)
def test_a_value_is_refused_in_a_sentence(name, value):
    """One that is no finite number is always refused; others may be, or are used."""
    try:
        PLACES[name](value)
    except (ValueError, TypeError) as error:
        assert len(str(error)) > 9
    else:
        assert finite(value) or (value is None and name in NOTHING)


@pytest.mark.usefixtures("as_user")
def test_what_is_good_goes_through():
    assert network(tg.LIF(tau_mem=[1e-2, 2e-2, 3e-2]), dt=1).init(jax.random.key(0)).dt == 1.0
    assert tg.SuperSpike(slope=np.float32(2)).slope == 2.0
    assert tg.Dense(np.int64(4), 3, bias=np.True_).biased is True
