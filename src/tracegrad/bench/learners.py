"""learners: a learner of tracegrad as a row, with a plan of ours or the planner's."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from tracegrad.bench.row import Row, compiled
from tracegrad.bench.workload import Given, Workload, network
from tracegrad.learn.loss import Loss
from tracegrad.learn.losses import cross_entropy
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import AbstractPlan
from tracegrad.learn.plans.reverse import AbstractReverse
from tracegrad.learn.plans.window import Window
from tracegrad.learn.rule import Rule
from tracegrad.run.learner import Learner

FROZEN = (False, False)  # no stage's neurons learn
HORIZON, PART = 200, 200  # of windows: e^-10 of the readout's memory is left out
MakePlan = Callable[[Rule, Loss], AbstractPlan]


class Learning(NamedTuple):
    """What is learned with: a rule, an optimiser and, unless the planner is to choose, a plan.

    `counted` says that the input comes as bytes, as a recording of spikes is kept.
    """

    rule: Rule
    optimiser: optax.GradientTransformation
    plan: MakePlan | None = None
    counted: bool = False


def learner_row(learning: Learning, work: Workload, arrays: Given) -> Row:
    """A learner on whole sequences."""
    rule, loss = learning.rule, cross_entropy()
    plan = None if learning.plan is None else learning.plan(rule, loss)
    net = network(work, arrays)
    learner = Learner(net, rule, loss, learning.optimiser, work.every, plan=plan)
    learner = learner.for_input(arrays.xs)
    state = learner.init(jax.random.key(0), work.batch, stream=False)
    xs = jnp.asarray(arrays.xs, jnp.uint8 if learning.counted else None)
    ys = jnp.broadcast_to(jnp.asarray(arrays.classes, jnp.int32)[None], xs.shape[:2])
    weight = jnp.full(xs.shape[:2], 1.0 / (work.steps if work.every is None else 1.0))
    return compiled(learner._sequence, (state,), (xs, ys, weight), str(learner.plan))


def chunk(rule: Rule, loss: Loss) -> Chunk:
    """Products, for independent sequences."""
    return Chunk(rule, loss, carry=False)


def events(rule: Rule, loss: Loss) -> Events:
    """Gathers and scatters."""
    return Events(rule, loss, FROZEN)


def window_of(inner: Callable[[Rule, Loss], AbstractReverse]) -> MakePlan:
    """Bounded memory: parts of a sequence, each gone back over by the inner plan."""

    def window(rule: Rule, loss: Loss) -> Window:
        return Window(rule, loss, inner(rule, loss), HORIZON, PART)

    return window


def checkpoint_of(inner: Callable[[Rule, Loss], AbstractReverse]) -> MakePlan:
    """Bounded memory and exact: segments, each run forward once more and gone back over."""

    def checkpoint(rule: Rule, loss: Loss) -> Checkpoint:
        return Checkpoint(rule, loss, inner(rule, loss))

    return checkpoint
