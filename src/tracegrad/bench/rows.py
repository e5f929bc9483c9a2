"""rows: what is compared at each workload."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from tracegrad.bench.learners import (
    Learning,
    MakePlan,
    checkpoint_of,
    chunk,
    events,
    learner_row,
    window_of,
)
from tracegrad.bench.references import REFERENCES
from tracegrad.bench.references.training import every_step, training_step
from tracegrad.bench.references.weights import weights
from tracegrad.bench.row import Row, compiled
from tracegrad.bench.workload import LEARNING_RATE, Given, Workload
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule
from tracegrad.learn.rules import block_diagonal, eprop, es_d_rtrl, rtrl

BASE = "expert BPTT"  # what ratios are to
DECAY = 0.9  # of the two smoothed factors of es_d_rtrl, as a peer's examples have it
MakeRow = Callable[[], Row]


def reference(name: str, arrays: Given) -> Row:
    """A reference written by hand, with Adam."""
    return _by_hand(training_step(REFERENCES[name], _adam()), _adam(), arrays)


def every_step_reference(optimiser: optax.GradientTransformation, arrays: Given) -> Row:
    """Naive e-prop that changes the weights at every step."""
    return _by_hand(every_step(optimiser), optimiser, arrays)


def rows(name: str, work: Workload, arrays: Given) -> dict[str, MakeRow]:
    """What is compared at a workload, each made (compiled) when it is called.

    Rows of events, which are C for a CPU, are left out elsewhere.
    """
    found = {BASE: partial(reference, BASE, arrays)} | ROWS.get(name, _default)(work, arrays)
    if jax.default_backend() == "cpu":
        return found
    return {label: make for label, make in found.items() if "events" not in label}


def _adam() -> optax.GradientTransformation:
    return optax.adam(LEARNING_RATE)


def _by_hand(
    step: Callable[..., tuple], optimiser: optax.GradientTransformation, arrays: Given
) -> Row:
    w = weights(arrays)
    fixed = (jnp.asarray(arrays.xs), jnp.asarray(arrays.classes))
    return compiled(step, (w, optimiser.init(w)), fixed, "by hand")


def _ours(rule: Rule, plan: MakePlan | None, work: Workload, arrays: Given) -> MakeRow:
    return partial(learner_row, Learning(rule, _adam(), plan), work, arrays)


def _with_events(work: Workload, arrays: Given) -> dict[str, MakeRow]:
    ours = {
        f"{rule.name}, events": _ours(rule, events, work, arrays)
        for rule in (eprop(), block_diagonal())
    }
    counted = partial(learner_row, Learning(eprop(), _adam(), events, counted=True), work, arrays)
    return ours | {"eprop, events of bytes": counted}


def _default(work: Workload, arrays: Given) -> dict[str, MakeRow]:
    products = {
        f"{rule.name}, chunk": _ours(rule, chunk, work, arrays)
        for rule in (eprop(), block_diagonal())
    }
    by_hand = {"stop-gradient": partial(reference, "stop-gradient", arrays)}
    planned = {"eprop, as planned": _ours(eprop(), None, work, arrays)}
    return by_hand | products | _with_events(work, arrays) | planned


def _with_naive(work: Workload, arrays: Given) -> dict[str, MakeRow]:
    naive = {"naive e-prop": partial(reference, "naive e-prop", arrays)}
    return _default(work, arrays) | naive


def _long(work: Workload, arrays: Given) -> dict[str, MakeRow]:
    bounded = {
        f"eprop, {name} of {plan.__name__}": _ours(eprop(), of(plan), work, arrays)
        for name, of in (("window", window_of), ("checkpoint", checkpoint_of))
        for plan in (chunk, events)
    }
    return _default(work, arrays) | bounded


def _online(work: Workload, arrays: Given) -> dict[str, MakeRow]:
    sgd = optax.sgd(LEARNING_RATE)
    return {
        "naive e-prop, Adam every step": partial(every_step_reference, _adam(), arrays),
        "naive e-prop, SGD every step": partial(every_step_reference, sgd, arrays),
        "eprop, Adam every step": _ours(eprop(), None, work, arrays),
        "block_diagonal, Adam every step": _ours(block_diagonal(), None, work, arrays),
        "es_d_rtrl, Adam every step": _ours(es_d_rtrl(DECAY), None, work, arrays),
        "eprop, SGD every step": partial(learner_row, Learning(eprop(), sgd), work, arrays),
        "eprop, SGD by Step": partial(learner_row, Learning(eprop(), sgd, Step), work, arrays),
        "eprop, events": _ours(eprop(), events, work._replace(every=None), arrays),
    }


def _every_few(work: Workload, arrays: Given) -> dict[str, MakeRow]:
    return {
        f"{rule.name}, Adam every {work.every} steps": _ours(rule, None, work, arrays)
        for rule in (eprop(), block_diagonal())
    }


def _exact(work: Workload, arrays: Given) -> dict[str, MakeRow]:
    return {
        "dense RTRL": partial(reference, "dense RTRL", arrays),
        "rtrl, as planned": _ours(rtrl(), None, work, arrays),
    }


ROWS: dict[str, Callable[[Workload, Given], dict[str, MakeRow]]] = {
    "W1": _with_naive,
    "W1 at 3 %": _with_events,
    "W1K10": _every_few,
    "W1T1600": _long,
    "W2 at 3 %": _with_events,
    "W3": _online,
    "RTRL": _exact,
}
