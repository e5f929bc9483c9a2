"""Digits learned online in a substrate's numbers, beside float: accuracy, and the weights' bits.

    python bench/substrate.py --seeds 3 --epochs 10

Everything that is stored and read on the device is in fixed point: weights, states, traces and
signals. The optimiser is plain SGD: nothing is carried beside the weights.
"""

import argparse
import statistics
from dataclasses import replace

import optax
from result import write

from tracegrad.run.build import Ends, build_loss, build_network, build_rule, build_task
from tracegrad.run.defaults import defaults
from tracegrad.run.learner import Learner
from tracegrad.run.train import train
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.rounding import Nearest, Stochastic
from tracegrad.substrate.scale import PerMatrix
from tracegrad.substrate.substrate import IDEAL, Substrate
from tracegrad.substrate.update import AbstractUpdate, Accumulate, Direct
from tracegrad.substrate.weights import Weights


def weights_only(name: str, bits: int, update: AbstractUpdate) -> Substrate:
    """Weights of some bits, everything else float."""
    return Substrate(name, Weights(Fixed(bits), PerMatrix(), update))


CASES = {
    "float": IDEAL,
    "mcu8": substrate("mcu8"),
    "nearest8": weights_only("nearest8", 8, Direct(Nearest())),
    "stochastic8": weights_only("stochastic8", 8, Direct(Stochastic())),
    "stochastic4": weights_only("stochastic4", 4, Direct(Stochastic())),
    "accumulate8": weights_only("accumulate8", 8, Accumulate(Fixed(16, 12), Nearest())),
    "accumulate4": weights_only("accumulate4", 4, Accumulate(Fixed(16, 12), Nearest())),
}


def one(case: str, seed: int, epochs: int, rate: float) -> dict:
    """Train once; the accuracy is that of the network as the substrate reads it."""
    base = replace(defaults("digits", "eprop"), seed=seed)
    config = replace(base, learning=replace(base.learning, epochs=epochs))
    task = build_task(config)
    network = build_network(config, Ends(task.lines, task.outputs, task.dt))
    batches = -(-task.train.size // config.learning.batch)
    updates = epochs * batches * -(-task.steps // config.learning.update_every)
    learner = Learner(
        network,
        build_rule(config),
        build_loss(config, task),
        optax.sgd(optax.cosine_decay_schedule(rate, updates)),
        config.learning.update_every,
    ).on(CASES[case])
    done = train(learner, config, task)
    accuracies = [epoch.test_accuracy for epoch in done.epochs]
    result = {"case": case, "seed": seed, "accuracy": accuracies[-1], "rate": done.last.rate}
    print(result, flush=True)
    return result | {"accuracies": accuracies, "seconds": done.seconds}


def main() -> None:
    """Run the cases asked for and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--name", default="substrate")
    given = parser.parse_args()
    runs = [
        one(case, seed, given.epochs, given.rate)
        for seed in range(given.seeds)
        for case in given.cases
    ]
    found = {}
    for case in given.cases:
        values = [run["accuracy"] for run in runs if run["case"] == case]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        found[case] = {"mean": statistics.mean(values), "std": spread, "seeds": len(values)}
    settings = {"task": "digits", "rule": "eprop", "epochs": given.epochs, "rate": given.rate}
    write(given.name, settings | {"accuracy": found}, runs)


if __name__ == "__main__":
    main()
