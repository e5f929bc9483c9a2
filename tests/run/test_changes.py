"""Numbers that are changed while a run trains: written down first, and made again."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from tracegrad.errors import UsageError
from tracegrad.run import changes as changing
from tracegrad.run import session
from tracegrad.run.build import build_learner
from tracegrad.run.changes import Change, Changes, Refusal, changes, refusals
from tracegrad.run.control import WANTED, Wanted, offered, want, wanted
from tracegrad.run.evaluate import on_device, pad_steps
from tracegrad.run.flat import flatten, unflatten
from tracegrad.run.folder import open_run
from tracegrad.run.session import Session
from tracegrad.run.train import Progress
from tracegrad.run.weights import parameters

from .conftest import TINY, learning

CONFIG = learning(TINY, epochs=3)
CHANGED = (2, 2)  # epoch and batch after which it changes; four batches are an epoch
BEFORE, AFTER = CONFIG.learning.learning_rate, 5e-3
STRENGTH, TARGET, SLOPE = 3.0, 0.25, 5.0
NUMBERS = {"rate.strength": STRENGTH, "rate.target": TARGET, "neuron.surrogate.slope": SLOPE}
# The same by settings, which know nothing of what may change.
THEN = replace(
    learning(CONFIG, learning_rate=AFTER, rate_strength=STRENGTH, rate_target=TARGET),
    network=replace(CONFIG.network, surrogate_slope=SLOPE),
)
LINE = {"epoch": CHANGED[0], "batch": CHANGED[1]}


def progress(epoch: int, batch: int) -> Progress:
    return Progress(epoch, batch, 4, 0.75, 0.625, 0.125, 250.0)


def fits(numbers) -> None:
    """All but a negative number."""
    if min(numbers.values()) < 0:
        raise UsageError("It must not be negative.")


@pytest.fixture(scope="module")
def ask_and_cut():
    """The page asks for other numbers after a batch, and the run is cut short in another."""

    def patched(patch: pytest.MonkeyPatch, cut: tuple[int, int] | None, ask: bool = True) -> None:
        def batch(self, now: Progress) -> None:
            if ask and (now.epoch, now.batch) == CHANGED:
                want(self.folder.path, Wanted(AFTER, None, NUMBERS))
            if (now.epoch, now.batch) == cut:
                raise KeyboardInterrupt

        patch.setattr(session._Watch, "batch", batch)

    return patched


@pytest.fixture
def whole(tmp_path, monkeypatch, tiny_digits, ask_and_cut) -> Path:
    """A run whose numbers were changed, and that was not cut short."""
    with monkeypatch.context() as patch:
        ask_and_cut(patch, None)
        Session(Console(quiet=True), pictures=False).run(CONFIG, tmp_path / "whole")
    return tmp_path / "whole"


def test_it_is_that_of_two_learners_one_after_the_other(whole, tiny):
    first = on_device(pad_steps(next(tiny.train.batches(8, None)), 4)).xs
    used = build_learner(CONFIG, tiny).for_input(first)
    state, order = used.init(jax.random.key(0), 8, stream=False), np.random.default_rng(0)
    for epoch in (1, 2, 3):
        for batch, data in enumerate(tiny.train.batches(8, order), start=1):
            state, _ = used.sequence(state, *on_device(pad_steps(data, 4)))
            if (epoch, batch) == CHANGED:
                used = build_learner(THEN, tiny).for_input(first)
                blank = used.init(jax.random.key(1), 8, stream=False)
                state = unflatten(blank, flatten(state), "the state of before")
    trained = parameters(open_run(whole).network())
    for name, value in parameters(state.network).items():
        np.testing.assert_allclose(value, trained[name], rtol=1e-12, atol=1e-14, err_msg=name)
    lines = [json.loads(text) for text in (whole / "events.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("time")
    assert lines == [
        {"event": "learning rate", **LINE, "learning_rate": AFTER},
        *({"event": "number", **LINE, "name": n, "value": v} for n, v in NUMBERS.items()),
    ]


def test_a_run_says_which_numbers_may_change(whole):
    said = {name: (n.value, n.bounds) for name, n in offered(whole).items()}
    assert said == {
        "rate.strength": (0.0, "at least 0"),
        "rate.target": (0.05, "at least 0"),
        "neuron.surrogate.slope": (10.0, "above 0"),
    }


@pytest.mark.parametrize("cut", [(2, 3), (3, 1), (3, 4)], ids=["replayed", "kept", "late"])
def test_a_resumed_run_comes_to_the_same_bits(whole, cut, tmp_path, monkeypatch, ask_and_cut):
    """(2, 3): from a checkpoint before the change; (3, 1): from one that holds it."""
    run = tmp_path / "cut"
    with monkeypatch.context() as patch:
        ask_and_cut(patch, cut)
        with pytest.raises(KeyboardInterrupt):
            Session(Console(quiet=True), pictures=False, every=3).run(CONFIG, run)
        ask_and_cut(patch, None, ask=False)
        Session(Console(quiet=True), pictures=False).resume(run)
    for name in ("metrics.jsonl", "weights.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert len((run / "events.jsonl").read_text().splitlines()) == 4, "replayed, not made anew"


def test_what_was_changed_on_a_way_not_taken_is_void(tmp_path):
    """Of the number that was changed otherwise; another number keeps its own changes."""
    lines = [(1, 5, 0.1), (2, 3, 0.2), (2, 1, 0.3)]  # resumed from before 2.3
    said = [
        {"event": "learning rate", "epoch": epoch, "batch": batch, "learning_rate": rate}
        for epoch, batch, rate in lines
    ]
    said.insert(1, {"event": "number", "epoch": 2, "batch": 2, "name": "a.b", "value": 7.0})
    text = "\n".join(map(json.dumps, [{"event": "paused"}, *said, {"event": "number"}, 3]))
    (tmp_path / "events.jsonl").write_text(f'{text}\n{{"event": "learning ra')
    rate, other = "learning_rate", Change(2, 2, "a.b", 7.0)
    assert changes(tmp_path) == [Change(1, 5, rate, 0.1), other, Change(2, 1, rate, 0.3)]
    asked = Changes(tmp_path, {rate: 1.0, "a.b": 1.0})
    places = [(1, 4), (1, 5), (2, 1), (2, 2), (2, 3)]
    assert [asked.after(progress(*at), fits) for at in places] == [
        None, {rate: 0.1}, {rate: 0.3}, {rate: 0.3, "a.b": 7.0}, None,
    ]  # fmt: skip
    want(tmp_path, Wanted(learning_rate=0.4))
    assert asked.after(progress(2, 4), fits) == {rate: 0.4, "a.b": 7.0}
    assert asked.after(progress(2, 5), fits) is None
    assert changes(tmp_path)[-1] == Change(2, 4, rate, 0.4), "though the line before was cut short"


def test_what_cannot_be_written_down_is_not_done(tmp_path, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(changing, "append", full)
    said: list[str] = []
    asked = Changes(tmp_path, {"learning_rate": 1.0}, said.append)
    want(tmp_path, Wanted(learning_rate=0.4))
    assert asked.after(progress(1, 1), fits) is None
    assert len(said) == 1 and "No space left on device. The learner stays as it is." in said[0]


def test_what_does_not_fit_is_refused_once_and_the_rest_is_done(tmp_path):
    said: list[str] = []
    asked = Changes(tmp_path, {"learning_rate": 1.0, "a.b": 0.0}, said.append)
    want(tmp_path, Wanted(0.4, None, {"a.b": -2.0}))
    assert asked.after(progress(1, 1), fits) == {"learning_rate": 0.4}
    assert asked.after(progress(1, 2), fits) is None
    assert said == ["a.b does not become -2. It must not be negative."]
    assert refusals(tmp_path) == [Refusal(1, 1, "a.b", -2.0, "It must not be negative.")]
    assert changes(tmp_path) == [Change(1, 1, "learning_rate", 0.4)]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"learning_rate": 0.1}', '{"learning_rate": 0.1, "synapse": null}']
    + [
        f'{{"learning_rate": {rate}, "synapse": null, "numbers": {{}}}}'
        for rate in ("NaN", "1e999", '"fast"', "0.0", "-1.0")
    ]
    + [
        f'{{"learning_rate": null, "synapse": {pair}, "numbers": {{}}}}'
        for pair in ("[1]", "[-1, 0]", "[0.5, 1]", "3")
    ]
    + [
        f'{{"learning_rate": null, "synapse": null, "numbers": {numbers}}}'
        for numbers in ("null", "[]", '{"a": "b"}', '{"a": 1}', '{"a": Infinity}')
    ],
)
def test_a_damaged_wish_is_one_warning_and_no_wish(tmp_path, text):
    (tmp_path / WANTED).write_text(text)
    said: list[str] = []
    assert wanted(tmp_path, said.append) == Wanted()
    assert len(said) == 1 and "wanted.json is ignored, as it is damaged" in said[0]


def test_a_wish_that_is_already_so_changes_nothing(tmp_path):
    asked = Changes(tmp_path, {"learning_rate": 0.5, "a.b": 2.0})
    want(tmp_path, Wanted(0.5, None, {"a.b": 2.0}))
    assert asked.after(progress(1, 1), fits) is None and not (tmp_path / "events.jsonl").exists()


def test_the_rate_of_a_schedule_is_where_it_begins(tiny):
    cosine, half = learning(CONFIG, cosine=True), 0.5 * BEFORE
    changed = Session(Console(quiet=True))._learner(cosine, tiny, {"learning_rate": half})
    settings = build_learner(learning(cosine, learning_rate=half), tiny)

    def learned(learner):
        batch = on_device(pad_steps(next(tiny.train.batches(8, None)), 4))
        state = learner.init(jax.random.key(0), 8, stream=False)
        return parameters(learner.sequence(state, *batch)[0].network)

    ours, usual = learned(changed), learned(build_learner(cosine, tiny))
    for name, value in learned(settings).items():
        assert np.array_equal(ours[name], value), name
    assert not np.array_equal(ours["readout.input.weight"], usual["readout.input.weight"])
