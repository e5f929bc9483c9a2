"""What a page wants of a run is read strictly: no file that it leaves can end a training."""

import os
import re

import numpy as np
import pytest

from tracegrad.run import control
from tracegrad.run.control import CONTROL, EVENTS, LARGEST, LIVE, Control, Wish, ask, live, wish
from tracegrad.run.strict_json import from_json
from tracegrad.run.train import Progress

HERE = Progress(1, 3, 40, 0.75, 0.625, 0.125, 250.0)
SAME = re.compile(rb'\{"paused":[ \t\r\n]true\}')
GARBAGE = {
    "empty": (b"", "Expecting value"),
    "cut": (b'{"paused": tr', "Expecting value"),
    "zeros, as after a loss of power": (bytes(16), "Expecting value"),
    "no text": (b"\xff\xfe\x00", "'utf-8' codec can't decode"),
    "a list": (b"[true]", "it must be Wish, got [True]"),
    "a number for a truth": (b'{"paused": 1}', "paused must be bool, got 1"),
    "a text for a truth": (b'{"paused": "no"}', "paused must be bool, got 'no'"),
    "one key too many": (b'{"paused": true, "rm": 1}', "it must have paused, is wrong in rm"),
    "no key": (b"{}", "it must have paused, is wrong in paused"),
    "a key twice": (b'{"paused": true, "paused": true}', "a key is there twice"),
    "not a number": (b'{"paused": NaN}', "NaN is no number"),
    "infinite": (b'{"paused": 1e999}', "1e999 is no number"),
    "nested without end": (b"[" * 4000, "it is nested too deeply"),
    "a number without end": (b"9" * 4096, "it must be Wish, got 999"),
    "a file without end": (b" " * (LARGEST + 1), f"it is longer than {LARGEST} bytes"),
}


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path, warnings) -> Control:
    return Control(tmp_path, warnings.append)


@pytest.mark.parametrize(("content", "why"), GARBAGE.values(), ids=GARBAGE)
def test_a_damaged_wish_is_ignored_with_a_sentence_and_training_goes_on(
    run, warnings, content, why
):
    (run.folder / CONTROL).write_bytes(content)
    run.after(HERE)
    (said,) = warnings
    assert said.startswith(f"{run.folder / CONTROL} is ignored, as it is damaged: ")
    assert why in said and said.endswith("Press the button of the page again.")
    run.after(HERE)
    assert len(warnings) == 1, "said once, until it is written anew"
    assert not wish(run.folder).paused and not (run.folder / EVENTS).exists()
    ask(run.folder, Wish())
    run.after(HERE)
    assert len(warnings) == 1


def test_a_pause_ends_when_its_file_is_damaged(run, warnings, monkeypatch):
    ask(run.folder, Wish(paused=True))
    monkeypatch.setattr(control.time, "sleep", lambda _: (run.folder / CONTROL).write_bytes(b"{"))
    run.after(HERE)
    assert len(warnings) == 1
    events = (run.folder / EVENTS).read_text()
    assert events.count('"paused"') == events.count('"resumed"') == 1


def test_a_folder_in_place_of_the_file_is_ignored(run, warnings):
    (run.folder / CONTROL).mkdir()
    run.after(HERE)
    assert len(warnings) == 1 and "Is a directory" in warnings[0]


def test_a_disk_that_refuses_is_said_once(run, warnings, monkeypatch):
    ask(run.folder, Wish())
    monkeypatch.setattr(control, "EVERY", 0.0)
    (run.folder / LIVE).mkdir()  # nothing can take its name
    run.after(HERE)
    run.after(HERE)
    assert warnings == [f"{run.folder}: who watches cannot be told: Is a directory."]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 4000, b" " * 5000])
def test_where_a_run_stands_is_unknown_where_that_is_damaged(tmp_path, content):
    (tmp_path / LIVE).write_bytes(content)
    assert live(tmp_path) is None


def test_json_of_any_depth_is_read_or_refused():
    """Near the limit a text can be read whose refusal is too deep to be written out."""
    for depth in range(1, 1100):
        with pytest.raises(ValueError, match="it must be Wish|nested too deeply"):
            from_json(Wish, "[" * depth + "]" * depth)


def test_nothing_random_is_taken_for_a_wish(run):
    rng = np.random.default_rng(0)
    good = b'{"paused": true}'
    for _ in range(300):
        content = bytearray(good)
        content[rng.integers(len(good))] = rng.integers(256)
        (run.folder / CONTROL).write_bytes(content)
        assert wish(run.folder).paused is bool(SAME.fullmatch(content))


def test_it_is_looked_at_only_when_it_is_new(run, monkeypatch):
    """One system call a batch, as long as nothing changes."""
    ask(run.folder, Wish())
    run.after(HERE)
    monkeypatch.setattr(control, "_text", None)
    run.after(HERE)
    os.utime(run.folder / CONTROL, ns=(1, 1))
    with pytest.raises(TypeError):
        run.after(HERE)
