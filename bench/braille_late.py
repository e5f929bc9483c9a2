"""Braille letters told at the end of the slide: how well can one recurrent layer learn them online?

What differs from `tracegrad train braille`: steps of 40 ms in place of 5, an answer that counts in
the last quarter of the slide only (before it the letter has not been felt whole), time constants of
60 to 800 ms spread over the neurons, Adam with decoupled weight decay, and training sequences that
are moved in time, have a few events added or taken away, and lose all events of a short while, anew
in every epoch. All of it was found with `block_diagonal` or `eprop` on held-out fifths of the
training set, split as `--held-out` does, some 80 settings, most with one seed; there, differences
below a point are chance. The test set chose nothing. What counts is the accuracy of the last epoch.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import numpy as np
import optax
import result

import tracegrad as tg
from tracegrad.data import Sequences
from tracegrad.data.datasets.braille import braille
from tracegrad.run.evaluate import Evaluator, on_device

FOLDS = 5


@dataclass(frozen=True)
class Settings:
    """Everything that was chosen; times in seconds."""

    hidden: int = 128
    steps_in_one: int = 8
    quiet: int = 24
    tau_low: float = 0.06
    tau_high: float = 0.8
    tau_readout: float = 0.2
    input_gain: float = 1.0
    recurrent_gain: float = 0.2
    surrogate_slope: float = 10.0
    learning_rate: float = 4e-3
    weight_decay: float = 0.1
    rate_strength: float = 0.1
    rate_target: float = 0.08
    batch: int = 8
    epochs: int = 60
    shift: int = 6
    flip: float = 0.01
    mask: int = 48


def coarse(source: Sequences, settings: Settings) -> Sequences:
    """The same recordings in longer steps, with an answer that counts from step `quiet` on."""
    number, steps, lines = source.counts.shape
    shape = number, steps // settings.steps_in_one, settings.steps_in_one, lines
    counts = source.counts.reshape(shape).sum(axis=2, dtype=np.uint8)
    lengths = source.lengths // settings.steps_in_one
    return Sequences(counts, lengths, source.labels, source.classes, quiet=settings.quiet)


def varied(source: Sequences, settings: Settings, rng: np.random.Generator) -> Sequences:
    """Every recording moved by up to `shift` steps, round the end, a share of bits flipped, and
    nothing left in a window of up to `mask` steps.
    """
    moves = rng.integers(-settings.shift, settings.shift + 1, source.size)
    pairs = zip(source.counts, moves, strict=True)
    moved = np.stack([np.roll(counts, move, axis=0) for counts, move in pairs])
    flipped = np.where(rng.random(moved.shape) < settings.flip, 1 - moved, moved)
    length = rng.integers(0, settings.mask + 1, source.size)[:, None]
    since = np.arange(moved.shape[1]) - rng.integers(0, moved.shape[1], source.size)[:, None]
    kept = flipped * ~((since >= 0) & (since < length))[:, :, None]
    return replace(source, counts=kept.astype(np.uint8))


def some(source: Sequences, chosen: np.ndarray) -> Sequences:
    """Part of a source."""
    return replace(
        source,
        counts=source.counts[chosen],
        lengths=source.lengths[chosen],
        labels=source.labels[chosen],
    )


def fifths(source: Sequences) -> Iterator[tuple[Sequences, Sequences]]:
    """What is trained on and what is held out, five times; every class is split alike."""
    rng, fold = np.random.default_rng(0), np.empty(source.size, int)
    for label in range(source.classes):
        members = np.flatnonzero(source.labels == label)
        fold[members] = rng.permutation(len(members)) % FOLDS
    return ((some(source, fold != k), some(source, fold == k)) for k in range(FOLDS))


def learner(rule: str, settings: Settings, updates: int, dt: float, seed: int) -> tg.Learner:
    """The learner; an update a sequence."""
    n, draw = settings.hidden, np.random.default_rng(seed)
    logs = draw.uniform(np.log(settings.tau_low), np.log(settings.tau_high), n)
    neuron = tg.LIF(
        tau_mem=tg.Positive(np.exp(logs)), surrogate=tg.SuperSpike(slope=settings.surrogate_slope)
    )
    back = tg.Dense(n, n, gain=settings.recurrent_gain)
    layer = tg.Layer(tg.Dense(12, n, gain=settings.input_gain), neuron, recurrent=back)
    readout = tg.Readout(n, 7, tau=settings.tau_readout)
    net = tg.Network(layer, readout=readout, dt=dt * settings.steps_in_one)
    loss = tg.losses.cross_entropy(tg.RateRegulariser(settings.rate_strength, settings.rate_target))
    rate = optax.cosine_decay_schedule(settings.learning_rate, updates)
    optimiser = optax.adamw(rate, weight_decay=settings.weight_decay)
    return tg.Learner(net.freeze("*.neuron.*"), getattr(tg.rules, rule)(), loss, optimiser)


def measure(
    rule: str, seed: int, train: Sequences, test: Sequences, settings: Settings, dt: float
) -> dict:
    """Train, and test after the last epoch."""
    began, order = time.perf_counter(), np.random.default_rng(seed)
    updates = settings.epochs * -(-train.size // settings.batch)
    learns = learner(rule, settings, updates, dt, seed)
    state = learns.init(jax.random.key(seed), settings.batch, stream=False)
    for _ in range(settings.epochs):
        source = coarse(varied(train, settings, order), settings)
        for batch in source.batches(settings.batch, order):
            state, _ = learns.sequence(state, *on_device(batch))
    evaluate = Evaluator(learns.loss)
    score, fit = (
        evaluate(state.network, coarse(part, settings).batches(settings.batch, None))
        for part in (test, train)
    )
    return {
        "rule": rule,
        "update_every": None,
        "seed": seed,
        "accuracy": score.accuracy,
        "train_accuracy": fit.accuracy,
        "spikes_per_step": score.rate,
        "epochs": settings.epochs,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Measure on the test set, or on held-out fifths; the result file is written after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--held-out", action="store_true", help="leave the test set alone")
    given = parser.parse_args()
    task, settings = braille(given.data), Settings()
    assert isinstance(task.train, Sequences) and isinstance(task.test, Sequences)
    name = "braille_late_held_out" if given.held_out else "braille_late"
    rows = []
    for seed in given.seeds:
        parts = fifths(task.train) if given.held_out else [(task.train, task.test)]
        for fold, (train, test) in enumerate(parts):
            for rule in given.rules:
                row = measure(rule, seed, train, test, settings, task.dt)
                rows.append(row | {"fold": fold} if given.held_out else row)
                print(rows[-1], flush=True)
                result.write(name, asdict(settings), rows)


if __name__ == "__main__":
    main()
