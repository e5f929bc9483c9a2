"""A learner's state comes back bit for bit from a file: rules, plans, substrates, optimisers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import claims
import tracegrad as tg
from tracegrad.run.checkpoint import Checkpoint, from_bytes, to_bytes
from tracegrad.run.flat import flatten, unflatten
from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import Info, LearnerState
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.mismatch import Mismatch
from tracegrad.substrate.number import Number
from tracegrad.substrate.rounding import Stochastic
from tracegrad.substrate.scale import PerMatrix
from tracegrad.substrate.substrate import Substrate
from tracegrad.substrate.update import Direct
from tracegrad.substrate.weights import Weights

BLOCK, BLOCKS = 4, 3  # steps of a block; the state is saved before the last one
ROUNDING = Substrate(
    "rounding",
    Weights(Fixed(8), PerMatrix(), Direct(Stochastic())),
    traces=Number(Fixed(16, 10), Stochastic()),
    signals=Number(Fixed(12, 8), Stochastic()),
)
DRIFTING = Substrate("drifting", mismatch=Mismatch(gains=0.1, read_noise=0.05, drift=0.5))


def adam(rate: float) -> optax.GradientTransformation:
    """The Adam that these tests use, which is put in place after this file is read."""
    return optax.adam(rate)


class Case(NamedTuple):
    """A learner, the plan that it must have, and parts of its state that must have changed."""

    rule: tg.Rule
    plan: str
    optimiser: Callable[[float], optax.GradientTransformation] = adam
    every: int | None = 2
    call: str = "run"
    substrate: Substrate | None = None
    recurrent: bool = True
    carried: tuple[str, ...] = ("stream.memory",)


r = tg.rules
CASES = {
    "block_diagonal": Case(r.block_diagonal(), "Chunk", carried=("optimiser", "stream.memory")),
    "a gradient that waits": Case(
        r.block_diagonal(), "Chunk", every=3, call="step", carried=("gradient", "waiting")
    ),
    "eprop, feedback that learns": Case(
        r.eprop(signal=tg.signals.Adaptive()), "Chunk", carried=("feedback", "stream.memory")
    ),
    "chunks of plain SGD": Case(r.eprop(), "ChunkedSGD", optax.sgd, every=1),
    "bptt": Case(r.bptt(), "Backprop", every=None, call="sequence", carried=("optimiser", "key")),
    "rtrl": Case(r.rtrl(), "Step"),
    "uoro": Case(r.uoro(), "Step"),
    "ottt": Case(r.ottt(), "Step", every=1, recurrent=False),
    "dni": Case(r.dni(), "Step", carried=("stream.signal",)),
    "stochastic rounding": Case(
        r.eprop(), "Step", optax.sgd, 1, substrate=ROUNDING,
        carried=("placed.weights.draws", "stream.memory", "stream.signal"),
    ),
    "a device that drifts": Case(
        r.block_diagonal(), "Chunk", substrate=DRIFTING, carried=("placed.device.steps",)
    ),
}  # fmt: skip


def make(case: Case) -> Learner:
    neuron = tg.LIF(tau_mem=10e-3, reset=tg.SubtractReset(detached=True))
    net = claims.network(neuron, recurrent=case.recurrent).freeze("*.neuron.*")
    loss = tg.losses.mean_squared_error()
    made = tg.Learner(net, case.rule, loss, case.optimiser(0.01), case.every)
    return made if case.substrate is None else made.on(case.substrate)


def learn(learner: Learner, case: Case, state: Any, block: int) -> tuple[LearnerState, list[Info]]:
    """One block of steps; the state is copied, as it is donated."""
    state = jax.tree.map(jnp.copy, state)
    part = slice(block * BLOCK, (block + 1) * BLOCK)
    xs, ys = claims.inputs()[part], claims.targets()[part]
    if case.call != "step":
        state, info = getattr(learner, case.call)(state, xs, ys)
        return state, [info]
    infos = []
    for x, y in zip(xs, ys, strict=True):
        state, info = learner.step(state, x, y)
        infos.append(info)
    return state, infos


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_learner_goes_on_bit_for_bit(case):
    learner = make(case)
    assert type(learner.plan.plan).__name__ == case.plan
    state, rates = learner.init(random.key(0), claims.BATCH), []
    for block in range(BLOCKS - 1):
        state, infos = learn(learner, case, state, block)
        rates += [np.asarray(info.rates[0]).mean() for info in infos]
    assert 0.01 < np.mean(rates) < 0.7, "the layer must spike"
    whole, expected = learn(learner, case, state, BLOCKS - 1)

    content = to_bytes(Checkpoint(flatten(state), ""))
    blank = learner.init(random.key(99), claims.BATCH)
    fresh, saved = flatten(blank), flatten(state)
    for part in ("network", *case.carried):
        mine = [name for name in saved if name.startswith(part)]
        assert mine, f"the state has no {part}"
        assert any(fresh[name].tobytes() != saved[name].tobytes() for name in mine), part
    back = unflatten(blank, from_bytes(content, "it").arrays, "it")
    again, found = learn(learner, case, back, BLOCKS - 1)

    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    theirs = flatten(again)
    for name, value in flatten(whole).items():
        assert value.tobytes() == theirs[name].tobytes(), name


def test_each_part_of_a_state_is_needed():
    """The control: a state that keeps any carried part of the blank's ends elsewhere."""
    case = CASES["uoro"]
    learner = make(case)
    state = learner.init(random.key(0), claims.BATCH)
    for block in range(BLOCKS - 1):
        state, _ = learn(learner, case, state, block)
    whole = flatten(learn(learner, case, state, BLOCKS - 1)[0].network)
    fresh, saved = flatten(learner.init(random.key(99), claims.BATCH)), flatten(state)
    for part in ("network", "optimiser", "stream.state", "stream.memory"):
        mixed = saved | {name: fresh[name] for name in saved if name.startswith(part)}
        other = learn(learner, case, unflatten(state, mixed, "it"), BLOCKS - 1)[0]
        theirs = flatten(other.network)
        assert any(value.tobytes() != theirs[name].tobytes() for name, value in whole.items()), part
