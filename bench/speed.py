"""What does a training step cost, beside references written by hand? Ratios within one run.

Every row is compiled first; then all rows of a workload are timed in turn, so that what disturbs
the machine disturbs all; medians. `memory` is the peak of the compiled program, as XLA plans it.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import result
from references import REFERENCES, Weights, eprop_step, traces, training_step
from workloads import LEARNING_RATE, WORKLOADS, Given, Workload, given, network

import tracegrad as tg
from tracegrad.learn.plans.checkpoint import Checkpoint
from tracegrad.learn.plans.chunk import Chunk
from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.window import Window
from tracegrad.run.train import peak_memory

FROZEN = (False, False)  # no stage's neurons learn
LEAST = 3  # runs of every row
HORIZON, PART = 200, 200  # of windows: e^-10 of the readout's memory is left out


class Row(NamedTuple):
    """A compiled training step that is run again and again, its memory and time to compile."""

    run: Callable[[], Any]
    memory: int
    compile_s: float


def compiled(function: Callable[..., tuple], state: tuple, fixed: tuple) -> Row:
    """A step whose first results are its next arguments; they are donated."""
    donated = tuple(range(len(state)))
    jitted = jax.jit(function, donate_argnums=donated)
    began = time.perf_counter()
    ready = jitted.lower(*state, *fixed).compile()
    took = time.perf_counter() - began
    held = [jax.tree.map(jnp.copy, state)]

    def run() -> None:
        out = jax.block_until_ready(ready(*held[0], *fixed))
        held[0] = out[: len(state)]

    return Row(run, peak_memory(ready), took)


def reference(name: str, arrays: Given) -> Row:
    """A reference of references.py with Adam."""
    weights = Weights(*map(jnp.asarray, (arrays.w_in, arrays.w_rec, arrays.w_out)))
    optimiser = optax.adam(LEARNING_RATE)
    state = (weights, optimiser.init(weights))
    fixed = (jnp.asarray(arrays.xs), jnp.asarray(arrays.classes))
    return compiled(training_step(REFERENCES[name], optimiser), state, fixed)


def every_step_reference(optimiser: Any, arrays: Given) -> Row:
    """Naive e-prop that changes the weights at every step."""
    weights = Weights(*map(jnp.asarray, (arrays.w_in, arrays.w_rec, arrays.w_out)))
    xs, classes = jnp.asarray(arrays.xs), jnp.asarray(arrays.classes)
    start = traces(xs.shape[1], weights.w_in.shape[0], *weights.w_out.shape)

    def sequence(weights: Weights, memory: Any, xs: Any, classes: Any) -> tuple:
        def body(carry: tuple, x: Any) -> tuple[tuple, Any]:
            weights, memory, c = carry
            c, loss, gradient = eprop_step(weights, c, x, classes)
            changes, memory = optimiser.update(gradient, memory, weights)
            return (optax.apply_updates(weights, changes), memory, c), loss

        (weights, memory, _), losses = jax.lax.scan(body, (weights, memory, start), xs)
        return weights, memory, losses

    return compiled(sequence, (weights, optimiser.init(weights)), (xs, classes))


def ours(
    rule: tg.Rule, work: Workload, arrays: Given, plan: Any, every: int | None, optimiser: Any
) -> Row:
    """A learner of tracegrad on whole sequences."""
    loss = tg.losses.cross_entropy()
    made = None if plan is None else plan(rule, loss)
    net = network(work, arrays)
    learner = tg.Learner(net, rule, loss, optimiser, every, plan=made)
    learner = learner.for_input(arrays.xs)
    state = learner.init(jax.random.key(0), work.batch, stream=False)
    xs = jnp.asarray(arrays.xs)
    ys = jnp.broadcast_to(jnp.asarray(arrays.classes, jnp.int32)[None], xs.shape[:2])
    weight = jnp.full(xs.shape[:2], 1.0 / (work.steps if every is None else 1.0), xs.dtype)
    return compiled(learner._sequence, (state,), (xs, ys, weight))


def chunk(rule: tg.Rule, loss: Any) -> Chunk:
    """Products, for independent sequences."""
    return Chunk(rule, loss, carry=False)


def events(rule: tg.Rule, loss: Any) -> Events:
    """Gathers and scatters."""
    return Events(rule, loss, FROZEN)


def window(inner: Callable[..., Any], rule: tg.Rule, loss: Any) -> Window:
    """Bounded memory."""
    return Window(rule, loss, inner(rule, loss), HORIZON, PART)


def checkpoint(inner: Callable[..., Any], rule: tg.Rule, loss: Any) -> Checkpoint:
    """Bounded memory, and exact."""
    return Checkpoint(rule, loss, inner(rule, loss))


def rows(name: str, arrays: Given) -> dict[str, Row]:
    """What is compared at a workload."""
    work, adam = WORKLOADS[name], optax.adam(LEARNING_RATE)
    eprop, strict = tg.rules.eprop(), tg.rules.block_diagonal()
    if name == "W3":
        sgd = optax.sgd(LEARNING_RATE)
        return {
            "expert BPTT": reference("expert BPTT", arrays),
            "naive e-prop, Adam every step": every_step_reference(adam, arrays),
            "naive e-prop, SGD every step": every_step_reference(sgd, arrays),
            "eprop, Adam every step": ours(eprop, work, arrays, None, 1, adam),
            "block_diagonal, Adam every step": ours(strict, work, arrays, None, 1, adam),
            "eprop, SGD every step": ours(eprop, work, arrays, None, 1, sgd),
            "eprop, events": ours(eprop, work, arrays, events, None, adam),
        }
    if work.scale != 1.0:
        return {
            "expert BPTT": reference("expert BPTT", arrays),
            "eprop, events": ours(eprop, work, arrays, events, None, adam),
            "block_diagonal, events": ours(strict, work, arrays, events, None, adam),
        }
    found = {
        "expert BPTT": reference("expert BPTT", arrays),
        "stop-gradient": reference("stop-gradient", arrays),
        "eprop, chunk": ours(eprop, work, arrays, chunk, None, adam),
        "block_diagonal, chunk": ours(strict, work, arrays, chunk, None, adam),
        "eprop, events": ours(eprop, work, arrays, events, None, adam),
        "block_diagonal, events": ours(strict, work, arrays, events, None, adam),
    }
    if name == "W1T1600":
        for inner in (chunk, events):
            for outer in (window, checkpoint):
                label = f"eprop, {outer.__name__} of {inner.__name__}"
                found[label] = ours(eprop, work, arrays, partial(outer, inner), None, adam)
    else:
        if name == "W1":  # at W2 it takes a quarter of a minute
            found["naive e-prop"] = reference("naive e-prop", arrays)
        found["eprop, as planned"] = ours(eprop, work, arrays, None, None, adam)
    return found


def timed(found: dict[str, Row], seconds: float) -> dict[str, list[float]]:
    """Times of every row, in turn; slow rows fewer times."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for row in found.values():
        row.run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < LEAST:
        for name, row in found.items():
            if sum(times[name]) > 0.2 * seconds and len(times[name]) >= LEAST:
                continue
            began = time.perf_counter()
            row.run()
            times[name].append(time.perf_counter() - began)
    return times


def main() -> None:
    """Measure the workloads named; the result file holds all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=20.0, help="for each workload")
    options = parser.parse_args()
    kept = []
    for name in options.workloads:
        arrays = given(WORKLOADS[name])
        found = rows(name, arrays)
        times = timed(found, options.seconds)
        base = statistics.median(times["expert BPTT"])
        for label, row in found.items():
            median = statistics.median(times[label])
            kept.append(
                {
                    "workload": name,
                    "row": label,
                    "ms": 1e3 * median,
                    "best_ms": 1e3 * min(times[label]),
                    "ratio": median / base,
                    "runs": len(times[label]),
                    "memory_mib": row.memory / 2**20,
                    "compile_s": row.compile_s,
                }
            )
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in kept[-1].items()})
        settings = {n: WORKLOADS[n]._asdict() for n in options.workloads}
        result.write("speed", settings, kept)


if __name__ == "__main__":
    main()
