"""From which share of inputs that are not zero are products cheaper than events?

The input density of W1 is varied (and the recurrent weights kept), both plans are timed in turn,
and so is what the planner takes. The bound `planner.SPARSE` comes from here.
"""

import argparse
import statistics

import jax
import optax
import result
from speed import chunk, events, ours, timed
from workloads import DENSITY, LEARNING_RATE, WORKLOADS, given

import tracegrad as tg
from tracegrad.learn.plans.planner import SPARSE

DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def main() -> None:
    """Measure both plans at every density."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", default="W1", choices=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=6.0, help="for each density")
    options = parser.parse_args()
    work, rule = WORKLOADS[options.workload], tg.rules.eprop()
    optimiser = optax.adam(LEARNING_RATE)
    rows = []
    for density in DENSITIES:
        arrays = given(work, density)
        weaker = arrays._replace(w_in=arrays.w_in * (DENSITY / density) ** 0.5)
        plans = {"chunk": chunk, "events": events}
        found = {n: ours(rule, work, weaker, p, None, optimiser) for n, p in plans.items()}
        times = {n: 1e3 * statistics.median(t) for n, t in timed(found, options.seconds).items()}
        chosen = "events" if density <= SPARSE else "chunk"
        row = {"density": density, **times, "chosen": chosen}
        rows.append(row | {"loss": times[chosen] / min(times.values()) - 1.0})
        print(rows[-1], flush=True)
        jax.clear_caches()
    result.write("crossover", {"workload": work._asdict(), "bound": SPARSE}, rows)


if __name__ == "__main__":
    main()
