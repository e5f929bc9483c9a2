"""Learning in a substrate's numbers, beside float: weight bits, mismatch, speech, and its cost.

    python bench/substrate.py --parts bits mismatch whole cost --data recordings/

Digits, and spoken digits with `--data`, the folder of the Free Spoken Digit Dataset. Learned online
with e-prop and plain SGD: nothing is carried beside the weights. Each part has a result file.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from result import write

from tracegrad.bench.row import Row
from tracegrad.bench.timing import timed
from tracegrad.data import Task
from tracegrad.data.sequences import Sequences
from tracegrad.learn.plans.step import Step
from tracegrad.model import Network
from tracegrad.run.build import Ends, build_loss, build_network, build_rule, build_task
from tracegrad.run.config import Config
from tracegrad.run.defaults import defaults
from tracegrad.run.evaluate import Evaluator, on_device
from tracegrad.run.learner import Learner
from tracegrad.run.train import Result, train
from tracegrad.substrate.fixed import Fixed
from tracegrad.substrate.from_preset import substrate
from tracegrad.substrate.mismatch import Mismatch
from tracegrad.substrate.rounding import Nearest, Stochastic
from tracegrad.substrate.scale import PerMatrix
from tracegrad.substrate.substrate import IDEAL, Substrate
from tracegrad.substrate.update import AbstractUpdate, Accumulate, Direct
from tracegrad.substrate.weights import Weights

UPDATES: dict[str, AbstractUpdate] = {
    "nearest": Direct(Nearest()),
    "stochastic": Direct(Stochastic()),
    "accumulate": Accumulate(Fixed(16, 12), Nearest()),
}


class Work(NamedTuple):
    """A task, how it is learned, and the rate of SGD."""

    task: Task
    config: Config
    rate: float

    @property
    def network(self) -> Network:
        """The network without weights."""
        return build_network(self.config, Ends(self.task.lines, self.task.outputs, self.task.dt))

    def seeded(self, seed: int, epochs: int | None = None) -> "Work":
        """The same with another seed, and as many epochs."""
        learning = self.config.learning
        learning = learning if epochs is None else replace(learning, epochs=epochs)
        return self._replace(config=replace(self.config, seed=seed, learning=learning))

    def learner(self, network: Network, where: Substrate, stepwise: bool = False) -> Learner:
        """The learner of a network, with a rate that falls to zero over all updates."""
        learning = self.config.learning
        rule, loss = build_rule(self.config), build_loss(self.config, self.task)
        batches = -(-self.task.train.size // learning.batch)
        updates = learning.epochs * batches * -(-self.task.steps // (learning.update_every or 1))
        return Learner(
            network,
            rule,
            loss,
            optax.sgd(optax.cosine_decay_schedule(self.rate, updates)),
            learning.update_every,
            Step(rule, loss) if stepwise else None,
        ).on(where)

    def trained(self, where: Substrate, network: Network | None = None) -> Result:
        """What is learned on a substrate, from fresh weights or from those of a network."""
        return train(self.learner(network or self.network, where), self.config, self.task)


def told(result: Result, **what: str | int) -> dict:
    """A row, printed."""
    accuracies = [epoch.test_accuracy for epoch in result.epochs]
    row = what | {"accuracy": accuracies[-1], "accuracies": accuracies, "rate": result.last.rate}
    row |= {"train_loss": result.last.train_loss, "seconds": result.seconds}
    print({key: row[key] for key in (*what, "accuracy", "train_loss", "seconds")}, flush=True)
    return row


def digits(given: argparse.Namespace) -> Work:
    """The digits of the library, with its own settings but the optimiser's."""
    config = defaults("digits", "eprop")
    learning = replace(config.learning, epochs=given.epochs)
    config = replace(config, learning=learning)
    return Work(build_task(config), config, given.rate)


def spoken(given: argparse.Namespace) -> Work:
    """Some recordings of every speaker and digit, and a smaller layer."""
    config = replace(defaults("spoken_digits", "eprop"), data=given.data)
    config = replace(
        config,
        network=replace(config.network, hidden=(given.spoken_hidden,)),
        learning=replace(config.learning, epochs=given.spoken_epochs),
    )
    task = build_task(config)
    return Work(replace(task, train=some(task.train, given.share)), config, given.spoken_rate)


def some(source: Sequences, share: int) -> Sequences:
    """One of `share` sequences, evenly."""
    kept = slice(None, None, share)
    return replace(
        source,
        counts=source.counts[kept],
        lengths=source.lengths[kept],
        labels=source.labels[kept],
    )


def bits(given: argparse.Namespace) -> list[dict]:
    """Digits with weights of some bits and everything else float."""
    work, rows = digits(given), []
    for seed in range(given.seeds):
        now = work.seeded(seed)
        rows.append(told(now.trained(IDEAL), bits=0, update="float", seed=seed))
        for count in given.bits:
            for name, update in UPDATES.items():
                where = Substrate(f"{name}{count}", Weights(Fixed(count), PerMatrix(), update))
                rows.append(told(now.trained(where), bits=count, update=name, seed=seed))
    return rows


def whole(given: argparse.Namespace) -> list[dict]:
    """All numbers of a platform on which something can learn, beside float."""
    rows, there = [], {"float": IDEAL} | {name: substrate(name) for name in given.substrates}
    for make in (digits, spoken) if given.data else (digits,):
        work = make(given)
        for seed in range(given.seeds):
            for name, where in there.items():
                result = work.seeded(seed).trained(where)
                rows.append(told(result, task=work.task.name, substrate=name, seed=seed))
    return rows


def deviating(percent: int, seed: int) -> Substrate:
    """A device whose time constants, thresholds and gains deviate, unknown to the rule."""
    sigma = percent / 100
    flaws = Mismatch(time_constants=sigma, thresholds=sigma, gains=sigma, seed=seed)
    return Substrate(f"mismatch{percent}", mismatch=flaws)


def mismatch(given: argparse.Namespace) -> list[dict]:
    """A network trained in float, moved to a device that deviates, and then learning there."""
    work, rows = digits(given), []
    evaluate = Evaluator(build_loss(work.config, work.task))
    for seed in range(given.seeds):
        trained = work.seeded(seed).trained(IDEAL)
        later = work.seeded(seed + 1000, given.epochs_there)
        for percent in given.percents:
            where = deviating(percent, seed)
            learner = later.learner(trained.network, where)
            state = learner.init(jax.random.key(seed), later.config.learning.batch, stream=False)
            score = evaluate(learner.deployed(state), work.task.test.batches(64, None))
            learned = later.trained(where, trained.network)
            row = told(learned, percent=percent, seed=seed)
            rows.append(row | {"trained": trained.last.test_accuracy, "moved": score.accuracy})
    return rows


def timing(work: Work, where: Substrate, stepwise: bool) -> Row:
    """A batch of sequences learned from, again and again; in seconds of the processor."""
    batch = on_device(next(work.task.train.batches(work.config.learning.batch, None)))
    learner = work.learner(work.network, where, stepwise).for_input(batch.xs)
    state = learner.init(jax.random.key(0), work.config.learning.batch, stream=False)
    began = time.perf_counter()
    ready = learner.sequence.lower(state, *batch).compile()
    took, held = time.perf_counter() - began, [state]

    def run() -> float:
        began = time.process_time()
        held[0], _ = jax.block_until_ready(ready(held[0], *batch))
        return time.process_time() - began

    return Row(run, 0, took, str(learner.plan))


def cost(given: argparse.Namespace) -> list[dict]:
    """Processor time of a batch in a substrate's numbers over that in float, in one run."""
    work = digits(given)
    eight = Substrate("stochastic8", Weights(Fixed(8), PerMatrix(), UPDATES["stochastic"]))
    cases = {
        "float": (IDEAL, False),
        "float, step by step": (IDEAL, True),
        "8-bit weights": (eight, False),
        "mcu8": (substrate("mcu8"), False),
    }
    rows = {name: timing(work, *case) for name, case in cases.items()}
    found = {name: float(np.median(runs)) for name, runs in timed(rows, given.cost_seconds).items()}
    return [
        {
            "case": name,
            "plan": rows[name].plan,
            "ms": 1e3 * seconds,
            "ratio": seconds / found["float"],
            "ratio_same_plan": seconds / found["float, step by step"],
        }
        for name, seconds in found.items()
    ]


PARTS: dict[str, Callable[[argparse.Namespace], list[dict]]] = {
    "bits": bits,
    "mismatch": mismatch,
    "whole": whole,
    "cost": cost,
}


def main() -> None:
    """Run the parts asked for and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=6.0)
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4, 6, 8, 12, 16])
    parser.add_argument("--percents", type=int, nargs="+", default=[0, 10, 20, 30, 40])
    parser.add_argument("--epochs-there", type=int, default=3)
    parser.add_argument("--substrates", nargs="+", default=["mcu8", "loihi1", "loihi2", "reckon"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--share", type=int, default=3)
    parser.add_argument("--spoken-hidden", type=int, default=64)
    parser.add_argument("--spoken-epochs", type=int, default=6)
    parser.add_argument("--spoken-rate", type=float, default=18.0)
    parser.add_argument("--cost-seconds", type=float, default=20.0)
    given = parser.parse_args()
    jax.config.update("jax_compilation_cache_dir", tempfile.mkdtemp())  # seeds share programs
    settings = {name: value for name, value in vars(given).items() if name not in ("data", "parts")}
    for part in given.parts:
        rows = PARTS[part](given)
        print(f"Results: {write(f'substrate_{part}', settings, rows)}")


if __name__ == "__main__":
    main()
