"""planner: the plan that executes a rule, and why it is that one."""

from typing import NamedTuple

from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.backprop import Backprop
from tracegrad.learn.plans.by_density import ByDensity
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.look_back import LookBack
from tracegrad.learn.plans.plan import AbstractPlan
from tracegrad.learn.plans.reward import Reward
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule


class Choice(NamedTuple):
    """A plan and the reason for it, one line as text."""

    plan: AbstractPlan
    why: str

    def __str__(self) -> str:
        """Name and reason."""
        return f"{type(self.plan).__name__}: {self.why}"


def choose(
    rule: Rule, loss: Loss, steps: int | None, carry: bool, learned: tuple[bool, ...] | None = None
) -> Choice:
    """The plan for blocks of `steps` steps (None: whole sequences).

    `carry` says whether a block follows on another, `learned` of each stage whether its neuron
    parameters learn (None: all). All plans of a rule compute the same gradient.
    """
    if isinstance(rule.influence, Graph):
        return Choice(Backprop(rule, loss), "the rule is backpropagation through its window")
    if isinstance(rule.influence, Horizon):
        return Choice(LookBack(rule, loss), "the rule looks back a fixed number of steps")
    if isinstance(rule.influence, Rewarded):
        return Choice(Reward(rule, loss), "products of trace and signal wait for a reward")
    if not isinstance(rule.influence, Block):
        return Choice(Step(rule, loss), "the influence is not one block per neuron")
    if rule.signal.remembers:
        return Choice(Step(rule, loss), "the signal has a memory of its own")
    if steps == 1:
        return Choice(Step(rule, loss), "the weights change at every step")
    chunk = Chunk(rule, loss, carry)
    if carry:
        return Choice(chunk, "traces are touched once per block, and exact across blocks")
    return Choice(
        ByDensity(rule, loss, chunk, Events(rule, loss, learned)),
        "sequences are independent, so no trace is kept; events where the input is sparse",
    )
