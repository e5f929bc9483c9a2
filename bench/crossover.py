"""From which share of inputs that are not zero are products cheaper than events?

The input density of W1 is varied (and the recurrent weights kept), both plans are timed in turn,
and so is what the planner takes. The bound `planner.SPARSE` comes from here.
"""

import argparse
import statistics

import jax
import optax
import result

from tracegrad.bench.learners import Learning, chunk, events, learner_row
from tracegrad.bench.timing import timed
from tracegrad.bench.workload import LEARNING_RATE, WORKLOADS, given
from tracegrad.learn.plans.planner import SPARSE
from tracegrad.learn.rules import eprop

DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def main() -> None:
    """Measure both plans at every density."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", default="W1", choices=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=6.0, help="for each density")
    options = parser.parse_args()
    work = WORKLOADS[options.workload]
    learning = Learning(eprop(), optax.adam(LEARNING_RATE))
    rows = []
    for density in DENSITIES:
        arrays = given(work, density)
        plans = {"chunk": learning._replace(plan=chunk), "events": learning._replace(plan=events)}
        found = {name: learner_row(with_plan, work, arrays) for name, with_plan in plans.items()}
        times = {n: 1e3 * statistics.median(t) for n, t in timed(found, options.seconds).items()}
        chosen = "events" if density <= SPARSE else "chunk"
        row = {"density": density, **times, "chosen": chosen}
        rows.append(row | {"loss": times[chosen] / min(times.values()) - 1.0})
        print(rows[-1], flush=True)
        jax.clear_caches()
    result.write("crossover", {"workload": work._asdict(), "bound": SPARSE}, rows)


if __name__ == "__main__":
    main()
