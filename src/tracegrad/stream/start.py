"""Start: what a stream starts from, a trained run, another stream, or settings alone."""

import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from tracegrad.data import Task
from tracegrad.data.sequences import Sequences
from tracegrad.errors import DataError, UsageError
from tracegrad.model import Network
from tracegrad.run.build import Ends, build_learner, build_task, learner_at
from tracegrad.run.config import Config
from tracegrad.run.config_file import load_config
from tracegrad.run.folder import WEIGHTS, RunFolder, open_run
from tracegrad.run.learner import Learner
from tracegrad.run.learner_state import refitted
from tracegrad.run.weights import load_network
from tracegrad.stream.kept import Before, Kept

STREAM = "stream.json"  # what a stream leaves beside its weights
USUAL_UPDATE = 10  # steps, where the settings say once a sequence: a stream has none


class Start(NamedTuple):
    """Settings, the learner that they make, what it goes on from, and what the network fits.

    The learning rate is constant, as a stream has no end. From a run, or a stream of other
    settings, only weights are taken: optimiser, traces, adapted feedback and what a substrate
    remembers start anew. From a stream of the same settings all of its last checkpoint is.
    """

    config: Config
    learner: Learner
    before: Before
    task: Task


def begin(path: Path, ends: Ends | None, update_every: int | None) -> Start:
    """From a folder or a file of settings; `UsageError` where that cannot learn from a stream."""
    network = None
    if path.is_dir():
        if ends is not None:
            raise UsageError(f"{path} has a network: leave lines, classes and dt out.")
        config, network = _trained(open_run(path))
        ends = Ends(network.layers[0].input.inputs, network.readout.input.outputs, network.dt)
    else:
        config = load_config(path)
        ends = ends or _of_task(config)
    every = update_every or config.learning.update_every or USUAL_UPDATE
    learning = replace(config.learning, cosine=False, update_every=every)
    config = replace(config, learning=learning)
    task = _nothing(ends)
    learner = build_learner(config, task)
    state = learner.init(jax.random.key(config.seed), batch=1)
    if network is None:
        return Start(config, learner, Before(state), task)
    kept = Kept(path, config).before(state) if (path / STREAM).is_file() else None
    if kept is None:
        return Start(config, learner, Before(state._replace(network=network)), task)
    if kept.numbers:
        learner = learner_at(config, task, kept.numbers)
        kept = kept._replace(state=refitted(kept.state, partial(learner.init, batch=1)))
    return Start(config, learner, kept, task)


def _trained(run: RunFolder) -> tuple[Config, Network]:
    config, weights = run.config(), run.path / WEIGHTS
    if run.finished:
        epochs = run.epochs()
        if epochs and epochs[-1].test_accuracy is None:
            raise _no_classes(str(run.path))
        return config, run.network()
    try:
        told = json.loads((run.path / STREAM).read_text(encoding="utf-8"))
        expected = (told["weights"], told.get("weights_before"))
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{run.path} is unfinished: it has neither a summary nor a readable {STREAM}. Train "
            "again."
        ) from error
    if found not in expected:
        raise DataError(f"{weights} is damaged: its SHA-256 is not that of {STREAM}.")
    return config, load_network(config, weights)


def _of_task(config: Config) -> Ends:
    task = build_task(config)
    if not task.classifies:
        raise _no_classes(config.task)
    return Ends(task.lines, task.outputs, task.dt)


def _nothing(ends: Ends) -> Task:
    """A task of the stream's shape: the learner is built for it, none of its data is used."""
    one = np.ones(1, np.int64)
    empty = Sequences(np.zeros((1, 1, ends.lines), np.uint8), one, 0 * one, ends.outputs)
    name, summary = "a stream", "labels at single steps"
    return Task(name, summary, ends.lines, ends.outputs, ends.dt, empty, empty, stepwise=True)


def _no_classes(where: str) -> UsageError:
    return UsageError(
        f"A stream has classes as labels, but {where} learns to reach values. Take another."
    )
