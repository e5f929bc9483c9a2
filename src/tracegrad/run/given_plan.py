"""Given plan: a plan that the user asked for, and whether it may serve; whether `step` may."""

from tracegrad.learn.alike import alike
from tracegrad.learn.loss import Loss
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.chunked_sgd import ChunkedSGD
from tracegrad.learn.plans.plan import AbstractPlan
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule
from tracegrad.model.network import Network


def check_plan(plan: AbstractPlan, rule: Rule, loss: Loss, update_every: int | None) -> None:
    """Refuse a plan that was made for another learner, or cannot keep its schedule."""
    if plan.rule is not rule or plan.loss is not loss:
        raise ValueError("The plan must be made with the rule and the loss of the learner.")
    if update_every is not None and not plan.carries:
        raise ValueError(
            f"{type(plan).__name__} carries nothing from block to block, and with update_every="
            f"{update_every} blocks follow on each other. Leave update_every or the plan out."
        )


def check_common(plan: AbstractPlan, network: Network) -> None:
    """Traces may be held once only where all neurons have them in common."""
    if not isinstance(plan, Step | ChunkedSGD | Chunk) or not plan.common:
        return
    found = alike(network, plan.rule.influence)
    if len(plan.common) != len(found) or not all(map(frozenset.issubset, plan.common, found)):
        raise ValueError(
            f"{type(plan).__name__}(common=...) may name of each stage what all its neurons have "
            f"in common, {[sorted(states) for states in found]}, got "
            f"{[sorted(states) for states in plan.common]}. Leave it out, or the plan."
        )


def check_chunked(plan: AbstractPlan, plain: bool) -> None:
    """Refuse chunks for an optimiser whose changes they cannot hold back; `plain` says it fits."""
    if isinstance(plan, ChunkedSGD) and not plain:
        raise ValueError(
            "ChunkedSGD needs update_every=1, plain SGD (no momentum, clipping or decay), a block "
            "influence, all matrices of the first layer learning, and a loss without a rate "
            "regulariser or kernel. Leave the plan out, or use Step."
        )


def check_step(update_every: int | None, loss: Loss) -> int:
    """`update_every`, unless what the update needs is known after a whole block alone."""
    if update_every is None:
        raise ValueError(
            "step needs update_every: with None the weights change once per run. Give "
            "Learner(..., update_every=K), or use run."
        )
    if update_every > 1 and loss.rate.strength:
        raise ValueError(
            f"step knows no mean rate over update_every={update_every} steps, which the rate "
            "regulariser asks for. Use run with blocks of so many steps, or update_every=1."
        )
    return update_every
