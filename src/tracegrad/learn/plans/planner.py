"""planner: the plan that executes a rule, and why it is that one."""

from typing import NamedTuple

import jax

from tracegrad.learn.graph import Graph, Horizon
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.masked import Leaving, Masked
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.backprop import Backprop
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.chunked_sgd import ChunkedSGD
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.look_back import LookBack
from tracegrad.learn.plans.plan import AbstractPlan
from tracegrad.learn.plans.reward import Reward
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule
from tracegrad.model.network import Circuit
from tracegrad.native.compiler import NoCompilerError
from tracegrad.native.scalar import NoCodeError

SPARSE = 0.33  # share of inputs that are not zero, up to which events are cheaper: bench/crossover


class Work(NamedTuple):
    """What there is to do.

    `steps` is the length of a block (None: a whole sequence), `carry` whether a block follows on
    another; `density` the share of inputs that are not zero, if it is known; `learned` says of each
    stage whether its neuron parameters learn (None: all); `common` names of each stage the states
    whose traces are held once (`alike`); `plain` says that its updates are plain SGD of a first
    layer that is `chunkable`; `many` devices share it.
    """

    steps: int | None
    carry: bool
    density: float | None = None
    learned: tuple[bool, ...] | None = None
    common: tuple[frozenset[str], ...] = ()
    plain: bool = False
    many: bool = False


class Choice(NamedTuple):
    """A plan and the reason for it, one line as text."""

    plan: AbstractPlan
    why: str

    def __str__(self) -> str:
        """Name and reason."""
        return f"{type(self.plan).__name__}: {self.why}"


def choose(rule: Rule, loss: Loss, work: Work, circuit: Circuit | None = None) -> Choice:
    """The plan for some work; all plans of a rule compute the same gradient.

    Events are chosen only for a `circuit` whose neurons have a form in C, on a CPU with a compiler.
    """
    if isinstance(rule.influence, Graph):
        return Choice(Backprop(rule, loss), "the rule is backpropagation through its window")
    if isinstance(rule.influence, Horizon):
        return Choice(LookBack(rule, loss), "the rule looks back a fixed number of steps")
    if isinstance(rule.influence, Rewarded):
        return Choice(Reward(rule, loss), "products of trace and signal wait for a reward")
    if _grouped(rule) and work.steps != 1 and not work.carry:
        why = "sequences are independent, and a scan back mixes inside the groups of a layer"
        return Choice(Chunk(rule, loss, carry=False), why)
    if not isinstance(rule.influence, Block):
        return Choice(Step(rule, loss), rule.influence.stepwise)
    if rule.signal.remembers:
        return _stepwise(rule, loss, work, "the signal has a memory of its own")
    if work.steps == 1 and work.plain:
        chunked = ChunkedSGD(rule, loss, work.common)
        why = f"plain SGD changes the weights at every step, {chunked.steps} steps at a time"
        return Choice(chunked, why)
    if work.steps == 1:
        return _stepwise(rule, loss, work, "the weights change at every step")
    if work.carry:
        why = "traces are touched once per block, and exact across blocks"
        return _held_once(Chunk(rule, loss, True, work.common, not work.many), work, why)
    return _independent(rule, loss, work, circuit)


def _grouped(rule: Rule) -> bool:
    """Whether each block is a group of one stage, and the signal what leaves it, or plain."""
    influence, signal = rule.influence, rule.signal
    if not isinstance(influence, Masked) or not influence.pattern.by_stage:
        return False
    if isinstance(signal, Leaving):
        return signal.pattern == influence.pattern
    return not signal.remembers


def _stepwise(rule: Rule, loss: Loss, work: Work, why: str) -> Choice:
    """Step by step."""
    return _held_once(Step(rule, loss, work.common), work, why)


def _held_once(plan: AbstractPlan, work: Work, why: str) -> Choice:
    """A plan with traces held once where all neurons have them in common, which its reason says."""
    once = ", ".join(sorted(frozenset().union(*work.common)))
    held = f"; factored, since all neurons have their traces of {once} in common" if once else ""
    return Choice(plan, why + held)


def _independent(rule: Rule, loss: Loss, work: Work, circuit: Circuit | None) -> Choice:
    """Products or events, for sequences of which none follows on another."""
    dense, start = Chunk(rule, loss, carry=False), "sequences are independent, no trace is kept; "
    if work.many:
        return Choice(dense, start + "products, since events run on one device")
    if work.density is None or circuit is None:
        return Choice(dense, start + "products, since the density of the input is not known")
    share = f"{100 * work.density:.1f} % of the inputs are not zero"
    if work.density > SPARSE:
        return Choice(dense, start + f"products, since {share}")
    if jax.default_backend() != "cpu":
        return Choice(dense, start + "products, since events run on a CPU only")
    if circuit.mapped:
        return Choice(dense, start + "products, since events serve all-to-all connections only")
    events = Events(rule, loss, work.learned)
    try:
        events.compile(circuit)
    except (NoCodeError, NoCompilerError) as error:
        return Choice(dense, start + f"products, since there is no way to events: {error}")
    return Choice(events, start + f"events, since {share}")
