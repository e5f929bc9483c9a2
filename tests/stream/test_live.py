"""Live: an offline run, bit for bit whatever the timing; labels late or not at all."""

import threading
import time
from functools import cache

import jax
import numpy as np
import optax
import pytest

import tracegrad as tg
from stream.flow import CLASSES, LINES, WIDTH, Event, Label, blocks, flow, steps_of
from tracegrad.data import Events
from tracegrad.errors import DataError, UsageError
from tracegrad.run.finite import NotFiniteError
from tracegrad.stream import Coarsen, Drop, Live, Settings, records
from tracegrad.stream import live as live_module

SETTINGS = Settings(queue=16, block=8, label_window=5e-3, longest_gap=20e-3)


def build(rate: float = 0.05, every: int = 4) -> tg.Learner:
    network = tg.Network(
        tg.Layer(tg.Dense(LINES, 10, gain=4.0), tg.LIF(tau_mem=5e-3), tg.Dense(10, 10)),
        readout=tg.Readout(10, CLASSES, tau=5e-3),
        dt=1e-3,
    ).freeze("*.neuron.*")
    optimiser = optax.sgd(rate, momentum=0.9)
    return tg.Learner(network, tg.rules.eprop(), tg.losses.cross_entropy(), optimiser, every)


@pytest.fixture(scope="module")
def learner() -> tg.Learner:
    return build()


@pytest.fixture(autouse=True, scope="module")
def compiled_once():
    """One program for all streams of a learner: compiling it is most of what a test costs."""
    made = cache(live_module.StepBlock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_module, "StepBlock", made)
        yield


def fresh(learner: tg.Learner) -> tg.LearnerState:
    return learner.init(jax.random.key(3), batch=1)


def slowly(source, every: int = 40):
    """Now and then it pauses, so that blocks are not full."""
    for number, record in enumerate(source):
        if number % every == 0:
            time.sleep(0.004)
        yield record


def learned(learner: tg.Learner, source, settings: Settings = SETTINGS) -> tuple[Live, list]:
    live = Live(learner, fresh(learner), records(source), settings)
    said = list(live)
    assert live.counts.balanced and live.counts.steps_learned == len(said)
    assert [p.step for p in said] == list(range(len(said)))
    return live, said


def offline(learner: tg.Learner, steps) -> tuple:
    """One call of `run` over the steps, padded to whole windows."""
    missing = -len(steps) % learner.update_every
    real = jax.numpy.zeros(()).dtype
    xs = np.zeros((len(steps) + missing, 1, LINES), real)
    xs[: len(steps), 0] = [step.x for step in steps]
    ys = np.zeros((len(xs), 1), np.int32)
    weight, valid = np.zeros((len(xs), 1), real), np.zeros((len(xs), 1), bool)
    valid[: len(steps)] = True
    for index, step in enumerate(steps):
        if step.label >= 0:
            ys[index], weight[index] = step.label, 1
    return learner.run(fresh(learner), xs, ys, weight, valid if missing else None)


def identical(first, second) -> bool:
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def with_late_labels(number: int, seed: int) -> list:
    """Labels a few steps late, early, far apart, or missing."""
    rng = np.random.default_rng(seed)
    found = []
    for record in flow(number, seed, per_step=6):
        if isinstance(record, Label):
            shift = int(rng.integers(-4, 4)) * WIDTH
            record = Label(max(0, record.time + shift), record.label)
            if rng.random() < 0.3:
                continue
        found.append(record)
    return found


def close(first, second) -> bool:
    """Equal but for rounding: two programs of the same steps may order an operation otherwise."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.allclose(np.asarray(a), np.asarray(b), 1e-10, 1e-13) for a, b in pairs)


def test_late_and_missing_labels_as_offline_and_as_fast_as_slow(learner):
    source = with_late_labels(900, seed=5)
    steps, ledger = steps_of(records(source))
    live, said = learned(learner, iter(source))
    slow, said_slowly = learned(learner, slowly(source))
    assert identical(live.state.network, slow.state.network)
    assert identical(live.state.optimiser, slow.state.optimiser)
    assert np.array_equal([p.scores for p in said], [p.scores for p in said_slowly])
    state, info = offline(learner, steps)
    assert (
        len(steps) % learner.update_every and live.counts.labels_late > 10
    )  # padded at the end, too
    assert 20 < live.counts.labels.learned < len(steps) / 2 and len(said) == len(steps)
    assert close(live.state.network, state.network)
    assert close(live.state.optimiser, state.optimiser)
    assert close([p.scores for p in said], list(np.asarray(info.outputs)[: len(steps), 0]))
    assert 0.01 < float(np.mean(info.rates[0])) < 0.9  # it spikes
    total = sum(p.loss for p in said if p.loss is not None)
    assert np.isclose(total, float(info.loss), rtol=1e-12)
    assert [p.label for p in said] == [None if s.label < 0 else s.label for s in steps]
    assert live.counts.events == ledger.counts.events
    assert live.counts.labels == ledger.counts.labels


def test_without_labels_plain_descent_stays_where_it_is(learner):
    source = [r for r in flow(200, seed=1) if isinstance(r, Event)]
    before = jax.tree.map(np.asarray, fresh(learner).network)
    live, said = learned(learner, source)
    assert identical(live.state.network, before) and len(said) > 40
    assert all(p.loss is None and p.label is None for p in said)


def test_it_learns(learner):
    """Two classes on two halves of the lines, 40 steps each, labelled in the second 20 of them."""
    rng, source = np.random.default_rng(0), []
    for step in range(1200):
        label = step // 40 % 2
        line = rng.integers(3, size=3) + 3 * label
        source.append(Events(np.full(3, step * WIDTH), line, LINES))
        if step % 40 > 20:
            source.append(Label(step * WIDTH, label))
    _, said = learned(learner, source)
    right = [p.scores.argmax() == p.label for p in said if p.label is not None]
    assert np.mean(right[:25]) < 0.9 < np.mean(right[-100:])


class Slow:
    """A learner's block that is not done before the source is, or takes its time."""

    def __init__(self, block, read: threading.Event | None):
        self.block, self.steps, self.unit, self.read = block, block.steps, block.unit, read

    def __call__(self, *arguments):
        time.sleep(0.005) if self.read is None else self.read.wait(60)
        return self.block(*arguments)


@pytest.mark.parametrize("when_full", [tg.stream.Block(), Drop(), Coarsen()])
def test_a_source_faster_than_the_learner(learner, when_full):
    settings = Settings(when_full, queue=16, block=8, label_window=5e-3, longest_gap=20e-3)
    source = blocks(flow(1500, seed=2))
    kept, read = isinstance(when_full, tg.stream.Block), threading.Event()

    def to_its_end():
        yield from records(source)
        read.set()

    live = Live(learner, fresh(learner), to_its_end(), settings)
    live._block = Slow(live._block, None if kept else read)
    said = list(live)
    counts = live.counts
    assert counts.balanced and counts.events.read == 1500 and counts.labels.read == 166
    assert (counts.steps_dropped > 0) == isinstance(when_full, Drop)
    assert (counts.steps_merged > 0) == isinstance(when_full, Coarsen)
    assert (counts.events.dropped > 0) == isinstance(when_full, Drop)
    assert sum(p.width for p in said) + counts.steps_dropped == len(steps_of(records(source))[0])
    assert live.latency.percentiles().p50 > 0.001
    assert kept == (len(said) == len(steps_of(records(source))[0]))


def test_who_stops_early_leaves_no_thread_and_all_is_counted(learner):
    def endless():
        step = 0
        while True:
            yield Event(step * WIDTH, step % LINES)
            step += 1

    live = Live(learner, fresh(learner), records(endless()), SETTINGS)
    for said in live:
        if said.step == 100:
            live.stop()
    assert live.counts.balanced and live.counts.events.dropped == 0
    live = Live(learner, live.state, records(endless()), SETTINGS)
    for said in live:
        if said.step == 20:
            break
    assert live.counts.balanced and live.counts.events.dropped > 0


def test_bad_records_end_it_after_all_before(learner):
    source = [*blocks(flow(100, seed=1)), Event(-5, 0), *flow(10, seed=2)]
    live = Live(learner, fresh(learner), records(source), SETTINGS)
    said = []
    with pytest.raises(DataError, match="Times must not be negative"):
        for prediction in live:
            said.append(prediction)
    assert live.counts.balanced and live.counts.events.refused == 1
    assert live.counts.events.learned == 100 and len(said) == live.counts.steps_learned


def test_an_error_of_the_source_is_the_callers(learner):
    def broken():
        yield Event(0, 0)
        raise ConnectionError("gone")

    live = Live(learner, fresh(learner), records(broken()), SETTINGS)
    with pytest.raises(ConnectionError, match="gone"):
        list(live)
    assert live.counts.balanced and live.counts.events.learned == 1


def test_a_number_that_is_not_finite_stops_it():
    learner = build(rate=1e200)
    live = Live(learner, fresh(learner), records(blocks(flow(400, seed=1))), SETTINGS)
    with pytest.raises(NotFiniteError, match=r"in the step at \d+ us: .* is not finite. Lower"):
        list(live)
    assert live.counts.balanced and live.counts.events.dropped > 0


MISTAKES = [
    (Settings(queue=4, block=8), "queue must be at least a block of 8 steps, got 4"),
    (Settings(block=0), "block must be at least 1"),
    (Settings(queue=2**30), "a queue at most 1 GiB"),
    (Settings(label_window=-1.0), "label_window must be zero or more seconds, got -1"),
    (Settings(longest_gap=float("nan")), "longest_gap must be zero or more seconds, got nan"),
]


@pytest.mark.parametrize(("settings", "sentence"), MISTAKES)
def test_settings_that_do_not_fit(learner, settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        Live(learner, fresh(learner), [], settings)


def test_learners_that_cannot(learner):
    network, state = learner.network, fresh(learner)
    once = tg.Learner(network, tg.rules.eprop(), tg.losses.cross_entropy(), optax.sgd(0.1))
    with pytest.raises(UsageError, match="give the learner update_every"):
        Live(once, state, [])
    odd = tg.Network(tg.Layer(tg.Dense(5, 4), tg.LIF()), readout=tg.Readout(4, 2), dt=1e-3)
    odd = tg.Learner(odd, tg.rules.eprop(), tg.losses.cross_entropy(), optax.sgd(0.1), 1)
    with pytest.raises(UsageError, match="must have ON and OFF of every line, but has 5 lines"):
        Live(odd, state, [], Settings(polarity=True))


def test_an_empty_source(learner):
    live, said = learned(learner, [])
    assert said == [] and live.latency.percentiles() is None


def test_blocks_of_events(learner):
    events = [r for r in flow(500, seed=4) if isinstance(r, Event)]
    array = Events(np.array([e.time for e in events]), np.array([e.line for e in events]), LINES)
    assert [p.scores.tolist() for p in learned(learner, [array])[1]] == [
        p.scores.tolist() for p in learned(learner, events)[1]
    ]
