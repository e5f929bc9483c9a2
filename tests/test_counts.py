"""Counts and booleans mean the same as real numbers to everything that takes an input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import tracegrad as tg
from tracegrad.inspect import cost
from tracegrad.substrate.mismatch import Mismatch

XS = random.bernoulli(random.key(1), 0.4, (20, 3, 9))
NET = tg.Network(
    tg.Layer(tg.Dense(9, 12, gain=4.0), tg.LIF(tau_mem=10e-3), recurrent=tg.Dense(12, 12)),
    readout=tg.Readout(12, 2),
    dt=1e-3,
).init(random.key(0))


def judged(xs):
    return tg.inspect.fidelity(NET, tg.rules.eprop(), xs, jnp.ones((20, 3), jnp.int32))


TAKEN = {
    "a network": lambda xs: NET(xs),
    "a fidelity": lambda xs: [entry.cosine for entry in judged(xs).parameters],
    "a cost": lambda xs: [cost(NET, xs).synaptic_operations.effective],
    "a disturbance": lambda xs: Mismatch(lost_spikes=0.3, jitter=2.0).disturb(xs, random.key(2)),
}


@pytest.mark.parametrize("kind", [jnp.uint8, jnp.bool_])
@pytest.mark.parametrize("name", TAKEN)
def test_counts_mean_the_same(name, kind):
    ours, theirs = (jax.tree.leaves(TAKEN[name](XS.astype(t))) for t in (kind, float))
    assert any(np.any(np.asarray(a)) for a in theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        assert np.array_equal(one, other)
