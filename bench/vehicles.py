"""What should carry events: C written from the neuron, or gathers and scatters of XLA itself?

XLA's are given the lists of the input's spikes ready made, and bounds that just hold; the C finds
them in the array, as in use. Both beside products (`stop-gradient`) and expert BPTT, in turn.
"""

import argparse
import statistics

import jax.numpy as jnp
import numpy as np
import optax
import result

from tracegrad.bench.learners import Learning, events, learner_row
from tracegrad.bench.references.event_lists import Bounds, event_lists, listed
from tracegrad.bench.references.reverse_mode import membranes
from tracegrad.bench.references.training import training_step
from tracegrad.bench.references.weights import weights
from tracegrad.bench.row import Row, compiled
from tracegrad.bench.rows import BASE, reference
from tracegrad.bench.timing import timed
from tracegrad.bench.workload import LEARNING_RATE, WORKLOADS, Given, given
from tracegrad.learn.rules import eprop

WORKS = ("W1", "W1 at 3 %", "W2 at 3 %")


def bounds(arrays: Given) -> Bounds:
    """The most spikes of any step and sample."""
    hidden = membranes(weights(arrays), jnp.asarray(arrays.xs))[1]
    return Bounds(*(int(np.asarray(spikes).sum(-1).max()) for spikes in (arrays.xs, hidden)))


def by_lists(arrays: Given, most: Bounds) -> Row:
    """A training step by gathers and scatters of XLA."""
    optimiser, w = optax.adam(LEARNING_RATE), weights(arrays)
    fixed = (listed(jnp.asarray(arrays.xs), most.incoming), jnp.asarray(arrays.classes))
    step = training_step(event_lists(most), optimiser)
    return compiled(step, (w, optimiser.init(w)), fixed, "by hand")


def main() -> None:
    """Every workload named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[*WORKS])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each workload")
    options = parser.parse_args()
    rows = []
    for name in options.workloads:
        work, arrays = WORKLOADS[name], given(WORKLOADS[name])
        most = bounds(arrays)
        learning = Learning(eprop(), optax.adam(LEARNING_RATE), events)
        found = {
            BASE: reference(BASE, arrays),
            "products": reference("stop-gradient", arrays),
            "events in C": learner_row(learning, work, arrays),
            "events in XLA": by_lists(arrays, most),
        }
        times = {n: statistics.median(t) for n, t in timed(found, options.seconds).items()}
        for row, seconds in times.items():
            rows.append({"workload": name, "row": row, "ms": 1e3 * seconds} | most._asdict())
            rows[-1]["ratio"] = seconds / times[BASE]
            print(rows[-1], flush=True)
        result.write("vehicles", {n: WORKLOADS[n]._asdict() for n in options.workloads}, rows)


if __name__ == "__main__":
    main()
