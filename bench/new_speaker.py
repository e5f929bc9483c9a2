"""How many labelled words of a new speaker does online learning need to win the gap back?

A network learns the digits of five speakers. Then the sixth comes: round by round it hears one new
recording of each digit, a sequence at a time and each once, and goes on learning from it. After 1,
2, 5, 10, 20 and 40 rounds it is tested, without learning, on the test recordings of the new speaker
and on those of the five. Indices 0 to 4 of every speaker are for testing, 5 to 44 of the new one
for learning, and 45 to 49 of the new one, which nobody learns from, tell how fast to go on
(`--rates`, the one with the best mean over all rounds and speakers); the tests chose nothing.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import jax
import numpy as np
import optax
import result

import tracegrad as tg
from tracegrad.data import Sequences
from tracegrad.data.datasets.spoken_digits import NAME, spoken_digits
from tracegrad.run.build import Ends, build_network, build_rule, loss_for
from tracegrad.run.config import Config
from tracegrad.run.defaults import defaults
from tracegrad.run.evaluate import Evaluator, on_device
from tracegrad.run.learner_state import LearnerState

ROUNDS = (1, 2, 5, 10, 20, 40)
TESTS, LAST = 5, 45  # indices below are for testing, from here on for choosing the rate


@dataclass(frozen=True)
class Pool:
    """All recordings of the set, and who spoke each."""

    all: Sequences
    speaker: np.ndarray
    index: np.ndarray

    def some(self, chosen: np.ndarray) -> Sequences:
        """The chosen ones."""
        whole = self.all
        return replace(
            whole,
            counts=whole.counts[chosen],
            lengths=whole.lengths[chosen],
            labels=whole.labels[chosen],
        )


def pool(data: Path) -> Pool:
    """Read the whole set; the readers keep the order of the sorted file names."""
    task = spoken_digits(data)
    folder = data / "recordings" if (data / "recordings").is_dir() else data
    names = [NAME.fullmatch(path.name) for path in sorted(folder.glob("*.wav"))]
    found = [(int(n["digit"]), str(n["speaker"]), int(n["index"])) for n in names if n]
    ordered = [p for p in found if p[2] >= TESTS] + [p for p in found if p[2] < TESTS]
    parts = task.train, task.test
    counts, lengths, labels = (
        np.concatenate([getattr(part, field) for part in parts])
        for field in ("counts", "lengths", "labels")
    )
    whole = Sequences(counts, lengths, labels, classes=10)
    digits, speakers, indices = map(np.array, zip(*ordered, strict=True))
    assert np.array_equal(digits, labels)  # the order is the one that was thought
    return Pool(whole, speakers, indices)


def lessons(words: Pool, speaker: str, seed: int) -> Iterator[Sequences]:
    """Rounds of one recording of each digit, in an order of chance."""
    rng = np.random.default_rng(seed)
    mine = (words.speaker == speaker) & (words.index >= TESTS) & (words.index < LAST)
    columns = [
        rng.permutation(np.flatnonzero(mine & (words.all.labels == digit))) for digit in range(10)
    ]
    return (words.some(rng.permutation(round)) for round in np.stack(columns, axis=1))


def learner(config: Config, words: Pool, rate: optax.ScalarOrSchedule, every: int | None):
    """The network, rule and loss of `tracegrad train spoken-digits`, with this optimiser's rate."""
    network = build_network(config, Ends(words.all.counts.shape[2], 10, 10e-3))
    return tg.Learner(network, build_rule(config), loss_for(config, True), optax.adam(rate), every)


def taught(config: Config, words: Pool, speaker: str) -> LearnerState:
    """The state after learning from the five others; an update a sequence."""
    learning = config.learning
    source = words.some((words.speaker != speaker) & (words.index >= TESTS))
    updates = learning.epochs * -(-source.size // learning.batch)
    rate = optax.cosine_decay_schedule(learning.learning_rate, updates)
    learns = learner(config, words, rate, None)
    learns = learns.for_input(source.counts[:100].transpose(1, 0, 2))
    state = learns.init(jax.random.key(config.seed), learning.batch, stream=False)
    order = np.random.default_rng(config.seed)
    for _ in range(learning.epochs):
        for batch in source.batches(learning.batch, order):
            state, _ = learns.sequence(state, *on_device(batch))
    return state


def heard(config: Config, words: Pool, speaker: str, state: LearnerState, rate: float) -> dict:
    """Go on with the new speaker; accuracies before, and after some of the rounds."""
    learns = learner(config, words, rate, config.learning.update_every)
    fresh = learns.init(jax.random.key(config.seed), 1, stream=False)
    now = fresh._replace(network=jax.tree.map(lambda a: a.copy(), state.network))
    evaluate, new = Evaluator(learns.loss), words.speaker == speaker
    parts = {
        "accuracy": words.some(new & (words.index < TESTS)),
        "others": words.some(~new & (words.index < TESTS)),
        "chosen_by": words.some(new & (words.index >= LAST)),
    }

    def scores() -> dict:
        return {
            name: evaluate(now.network, part.batches(50, None)).accuracy
            for name, part in parts.items()
        }

    found = {0: scores()}
    for number, lesson in enumerate(lessons(words, speaker, config.seed), start=1):
        for batch in lesson.batches(1, None):
            now, _ = learns.sequence(now, *on_device(batch))
        if number in ROUNDS:
            found[number] = scores()
    return found


def best(rows: list[dict]) -> list[dict]:
    """For each rule the rows of the rate that did best on what is kept for choosing it."""

    def told(rule: str, rate: float) -> float:
        return mean(
            r["chosen_by"] for r in rows if (r["rule"], r["rate"]) == (rule, rate) and r["rounds"]
        )

    chosen = {
        rule: max({row["rate"] for row in rows}, key=lambda rate: told(rule, rate))
        for rule in {row["rule"] for row in rows}
    }
    return [row | {"chosen": row["rate"] == chosen[row["rule"]]} for row in rows]


def main() -> None:
    """All rules, speakers and rates; the result file is written anew after each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3])
    parser.add_argument("--speakers", nargs="+")
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    words = pool(given.data)
    rows, used = [], {}
    for speaker in given.speakers or sorted(set(words.speaker.tolist())):
        for rule in given.rules:
            config = defaults("spoken_digits", rule)
            if given.epochs:
                config = replace(config, learning=replace(config.learning, epochs=given.epochs))
            used[rule] = {k: asdict(getattr(config, k)) for k in ("network", "learning")}
            state = taught(config, words, speaker)
            for rate in given.rates:
                for rounds, scores in heard(config, words, speaker, state, rate).items():
                    about = {"rule": rule, "speaker": speaker, "rate": rate, "rounds": rounds}
                    rows.append(about | scores)
                    print(rows[-1], flush=True)
            result.write("new_speaker", used, best(rows))


if __name__ == "__main__":
    main()
