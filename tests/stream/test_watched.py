"""A stream that is watched: where it stands, what it saw, a pause, and numbers that change."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from adam import lenient_adam  # noqa: F401  # a fixture
from stream.flow import CLASSES, LINES, SETTINGS, as_text, blocks, flow, steps_of
from tracegrad.run.build import Ends, build_learner
from tracegrad.run.cli import main
from tracegrad.run.control import Wanted, Wish, ask, live, offered, want
from tracegrad.run.flat import flatten, unflatten
from tracegrad.run.folder import RunFolder
from tracegrad.run.record_file import from_npz
from tracegrad.run.snapshot import LOOKING, SNAPSHOT
from tracegrad.stream import Live, Settings, records
from tracegrad.stream.bins import Step
from tracegrad.stream.block import StepBlock
from tracegrad.stream.live import RECENT, Prediction
from tracegrad.stream.start import Start, begin
from tracegrad.stream.watched import Watched

SMALL = Settings(queue=16, block=8, label_window=5e-3, longest_gap=20e-3)
RECORDS, ENDS = flow(1200, seed=3), Ends(LINES, CLASSES, 1e-3)


@pytest.fixture
def settings(tmp_path) -> Path:
    (tmp_path / "settings.toml").write_text(SETTINGS + "rate_strength = 0.5\n")
    return tmp_path / "settings.toml"


@pytest.fixture
def start(settings) -> Start:
    return begin(settings, ENDS, None)


@pytest.fixture
def folder(tmp_path, start) -> Path:
    return RunFolder.create(tmp_path / "live", start.config).path


Between = Callable[[Live, Prediction], None]


def run(
    start: Start, folder: Path, between: Between = lambda live, said: None, source=RECORDS
) -> tuple[list[Prediction], Watched, list[str]]:
    said: list[str] = []
    stream = Live(start.learner, start.before.state, records(blocks(source)), SMALL)
    watched, found = Watched(stream, start, folder, said.append), []
    for prediction in stream:
        found.append(prediction)
        between(stream, prediction)
        watched.after(prediction)
    watched.end()
    return found, watched, said


def all_steps(start: Start) -> list[Step]:
    return steps_of(records(blocks(RECORDS)), SMALL.form(start.learner))[0]


def events(folder: Path) -> list[dict]:
    path = folder / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def test_it_says_where_it_stands_to_who_watches(start, folder):
    ask(folder, Wish())
    found, watched, _ = run(start, folder)
    told = live(folder)
    labels = [said for said in found if said.label is not None][-100:]
    assert told is not None and told["ended"] and told["batch"] == len(found) > 200
    assert told["loss"] == pytest.approx(np.mean([said.loss for said in labels]))
    right = [int(said.scores.argmax()) == said.label for said in labels]
    assert told["accuracy"] == np.mean(right) and len(labels) == 100
    assert 0 < told["rate"] < 1 and told["microseconds_per_step"] > 0
    assert told["batches"] == 0


def test_nothing_but_the_offer_is_written_while_nobody_watches(start, folder):
    before = {path.name for path in folder.iterdir()}
    run(start, folder)
    assert {path.name for path in folder.iterdir()} - before == {"numbers.json"}


def test_a_snapshot_is_of_the_last_steps(start, folder):
    steps, shown = all_steps(start), []

    def look(stream: Live, said: Prediction) -> None:
        if said.step == 150:
            (folder / LOOKING).touch()
        if (folder / SNAPSHOT).is_file() and not shown:
            shown.append(stream.counts.steps_learned)

    _, watched, _ = run(start, folder, look)
    seen = from_npz(folder / SNAPSHOT)
    assert len(seen.inputs) == RECENT and seen.factors is not None
    places = [n for n in range(RECENT, len(steps)) if np.array_equal(seen.inputs, [
        step.x for step in steps[n - RECENT : n]
    ])]  # fmt: skip
    assert len(places) == 1 and 150 < places[0] <= shown[0]
    assert np.any(seen.hidden[0]) and np.any(seen.factors.trace)


NUMBERS = {"rate.target": 0.3, "neuron.surrogate.slope": 3.0}


def test_numbers_change_between_two_updates_to_the_bits_of_two_learners(start, folder):
    def change(stream: Live, said: Prediction) -> None:
        if said.step == 60:
            want(folder, Wanted(0.02, None, NUMBERS))

    found, watched, _ = run(start, folder, change)
    steps = all_steps(start)
    lines = events(folder)
    (at,) = {line["batch"] for line in lines}
    assert 60 < at < 100 and at % 4 == 0 and len(lines) == 3
    learning = replace(start.config.learning, learning_rate=0.02, rate_target=0.3)
    network = replace(start.config.network, surrogate_slope=3.0)
    then = build_learner(replace(start.config, learning=learning, network=network), start.task)
    state, outputs = (
        begin(folder.parent / "settings.toml", Ends(LINES, CLASSES, 1e-3), None)[2][0],
        [],
    )
    for learner, part in ((start.learner, steps[:at]), (then, steps[at:])):
        state = unflatten(learner.init(jax.random.key(0), 1), flatten(state), "before")
        block = StepBlock(learner, 8)
        for first in range(0, len(part), 8):
            state, learned = block(state, part[first : first + 8])
            outputs.extend(learned.outputs)
    assert np.array_equal(outputs, [said.scores for said in found])
    assert watched.numbers == {"learning_rate": 0.02, **NUMBERS}


def test_what_would_change_the_traces_is_refused_and_the_stream_goes_on(settings, folder):
    """With an update at every step, a pull needs a sum of outputs among the traces."""
    start = begin(settings, ENDS, 1)

    def change(stream: Live, said: Prediction) -> None:
        if said.step == 60:
            want(folder, Wanted(None, None, {"rate.strength": 0.0}))

    found, watched, said = run(start, folder, change)
    assert len(found) > 200 and watched.numbers == {}
    (line,) = events(folder)
    assert line["event"] == "refused" and "arrays of the same shapes" in line["why"]
    assert len(said) == 1 and said[0].startswith("rate.strength does not become 0. A learner that")


def test_it_pauses_and_resumes_and_an_end_ends_the_pause(start, folder):
    ask(folder, Wish(paused=True))
    streams: list[Live] = []
    found: list[list[Prediction]] = []

    def go() -> None:
        found.append(run(start, folder, lambda stream, said: streams.append(stream))[0])

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    _until(lambda: events(folder))
    stood = live(folder)
    time.sleep(0.3)
    assert thread.is_alive() and live(folder) == stood, "it waits"
    streams[0].stop()
    thread.join(60.0)
    assert not thread.is_alive() and len(found[0]) > 0
    assert [line["event"] for line in events(folder)] == ["paused", "resumed"]


def _until(what: Callable[[], object]) -> None:
    limit = time.monotonic() + 60.0
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_stream_that_goes_on_keeps_what_was_changed(settings, tmp_path, monkeypatch, capsys):
    source = tmp_path / "events.txt"
    source.write_bytes(as_text(RECORDS))
    after = Watched.after

    def asked(self: Watched, said: Prediction) -> None:
        if said.step == 30:
            want(self.changes.folder, Wanted(0.02, None, NUMBERS))
        after(self, said)

    ends = ["--lines", str(LINES), "--classes", str(CLASSES), "--dt", "1e-3"]
    with monkeypatch.context() as patch:
        patch.setattr(Watched, "after", asked)
        given = [str(settings), *ends, "--source", str(source), "--out", str(tmp_path / "one")]
        assert main(["stream", *given]) == 0
    again = begin(tmp_path / "one", None, None)
    assert again.before.numbers == {"learning_rate": 0.02, **NUMBERS}
    assert again.learner.network.layers[0].neuron.surrogate.slope == 3.0
    assert again.learner.loss.rate.target == 0.3
    two = tmp_path / "two"
    assert main(["stream", str(tmp_path / "one"), "--source", str(source), "--out", str(two)]) == 0
    lines = [(line["batch"], line["event"]) for line in events(two)]
    assert lines == [(again.before.steps, event) for event in ("learning rate", "number", "number")]
    assert begin(two, None, None).before.numbers == again.before.numbers
    assert offered(two)["rate.target"].value == 0.1, "what the settings say"
