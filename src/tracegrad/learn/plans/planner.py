"""planner: the plan that executes a rule."""

from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.backprop import Backprop
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.look_back import LookBack
from tracegrad.learn.plans.plan import AbstractPlan
from tracegrad.learn.plans.reward import Reward
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule


def choose(rule: Rule, loss: Loss, steps: int | None, carry: bool) -> AbstractPlan:
    """The plan for blocks of `steps` steps (None: whole sequences).

    `Backprop` for offline rules, `LookBack` for those with a horizon, `Reward` for rules that wait
    for a reward; `Step` for an update at every step, for influences other than blocks and for
    signals that remember; `Chunk` otherwise. `carry` says whether a block follows on another.
    """
    if isinstance(rule.influence, Graph):
        return Backprop(rule, loss)
    if isinstance(rule.influence, Horizon):
        return LookBack(rule, loss)
    if isinstance(rule.influence, Rewarded):
        return Reward(rule, loss)
    if steps == 1 or rule.signal.remembers or not isinstance(rule.influence, Block):
        return Step(rule, loss)
    return Chunk(rule, loss, carry)
