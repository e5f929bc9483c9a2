"""The page in a browser beside a run that trains: what is shown is so, what is pressed is done."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from adam import lenient_adam  # noqa: F401  # a fixture
from tiny import TINY, make_tiny
from tracegrad.data.registry import TASKS, Entry
from tracegrad.run import session
from tracegrad.run.control import Wish, ask, live
from tracegrad.run.folder import RunFolder
from tracegrad.run.record_file import from_npz
from tracegrad.run.session import Session
from tracegrad.run.snapshot import SNAPSHOT

from .opened import events, until, wait


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[RunFolder]:
    """A run of the tiny task that trains in a thread for as long as the test lasts."""
    path, ended = tmp_path_factory.mktemp("runs") / "tiny", threading.Event()
    config = replace(TINY, learning=replace(TINY.learning, epochs=1_000_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "digits", Entry(make_tiny, "two classes", False))
        heed = session._Watch.batch

        def batch(self, now) -> None:
            heed(self, now)
            time.sleep(0.01)
            if ended.is_set():
                raise KeyboardInterrupt

        def train() -> None:
            with pytest.raises(KeyboardInterrupt):
                Session(Console(quiet=True), pictures=False).run(config, path)

        patch.setattr(session._Watch, "batch", batch)
        training = threading.Thread(target=train)
        training.start()
        wait((path / "config.toml").exists, "it begins")
        yield RunFolder(path)
        ended.set()
        ask(path, Wish())
        training.join()


def test_it_shows_the_batch_that_the_run_is_at(run, page):
    before = page.locator("#state").text_content()
    until(page, f"document.getElementById('state').textContent !== {json.dumps(before)}")
    assert "block_diagonal on digits: running" in page.locator("#state").text_content()
    assert float(page.locator("#loss").text_content()) > 0
    assert page.locator("#accuracy").text_content().endswith(" %")
    assert live(run.path)["epoch"] > 0
    assert page.said == []


def test_the_learning_rate_changes_in_the_run_and_is_written_down(run, page):
    page.fill("#learning-rate", "-3")
    page.click("#steer button[type=submit]")
    assert not events(run), "refused by the page"
    page.fill("#learning-rate", "0.004")
    page.click("#steer button[type=submit]")
    until(page, "document.getElementById('changes').textContent.includes('0.004')")
    (line,) = events(run)
    assert (line["event"], line["learning_rate"]) == ("learning rate", 0.004)
    assert line["epoch"] > 0
    told = page.locator("#changes").text_content()
    assert told == f"It was 0.02; then 0.004 after epoch {line['epoch']}, batch {line['batch']}."
    assert page.said == []


def number(page, name: str):
    return page.locator(f"[id='number-{name}']")


def change(page, name: str, value: str) -> None:
    number(page, name).fill(value)
    page.get_by_role("button", name=f"Change {name}", exact=True).click()


def test_the_numbers_of_the_rule_are_shown_with_unit_and_bounds(run, page):
    shown = page.evaluate(
        "[...document.querySelectorAll('form.number')].map((form) => "
        "[form.querySelector('label').textContent, form.querySelector('input').value, "
        "form.querySelector('p').textContent])"
    )
    assert [[name, float(value)] for name, value, _ in shown] == [
        ["rate.strength", 0.0],
        ["rate.target", 0.05],
        ["neuron.surrogate.slope", 10.0],
    ]
    assert shown[1][2] == "spikes per step: the rate to pull to; at least 0"
    assert shown[2][2] == "per threshold: the larger, the narrower; above 0"


def test_a_number_of_the_rule_changes_in_the_run_and_is_written_down(run, page):
    before = len(events(run))
    change(page, "rate.target", "-1")
    until(page, "document.getElementById('refused').textContent !== ''")
    told = page.locator("#refused").text_content()
    assert told == "rate.target must be at least 0, got -1. It stays 0.05."
    change(page, "rate.strength", "many")
    assert len(events(run)) == before, "refused by the page"
    change(page, "rate.strength", "2.5")
    change(page, "neuron.surrogate.slope", "4")
    said = "document.getElementById('made').textContent"
    until(page, f"{said}.includes('2.5') && {said}.includes('slope')")
    first, second = events(run)[before:]
    assert (first["event"], first["name"], first["value"]) == ("number", "rate.strength", 2.5)
    assert (second["name"], second["value"]) == ("neuron.surrogate.slope", 4.0)
    assert f"It was 0; then 2.5 after epoch {first['epoch']}, batch {first['batch']}." in (
        page.locator("#made").text_content()
    )
    assert float(number(page, "rate.strength").input_value()) == 2.5
    assert page.locator("#refused").text_content() == ""
    assert all("400" in said for said in page.said), "the browser notes the refused request"
    page.said.clear()


def test_the_plots_show_the_synapse_that_is_followed_and_what_the_run_saw(run, page):
    page.fill("#line", "2")
    page.fill("#neuron", "5")
    page.click("#synapse button[type=submit]")
    said = "document.getElementById('factors-text').textContent"
    until(page, f"{said}.startsWith('Synapse from input line 2 to hidden neuron 5:')")
    page.click("#pause")
    wait(lambda: events(run)[-1]["event"] == "paused", "it pauses")
    until(page, "document.getElementById('pause').textContent === 'Resume'")
    page.wait_for_timeout(1500)  # two looks of the page at the last snapshot
    seen = from_npz(run.path / SNAPSHOT)
    shown = {
        n: page.evaluate(f"document.getElementById('{n}').data") for n in ("factors", "raster")
    }
    for values in (seen.factors.presynaptic, seen.factors.trace, seen.factors.signal):
        held = [np.asarray(t["y"], float) for t in shown["factors"] if len(t["y"]) == len(values)]
        assert any(np.array_equal(one, values) for one in held)
    marks = [trace["y"] for trace in shown["raster"]]
    assert marks[0] == [int(line) for _, line in np.argwhere(seen.inputs)]
    assert marks[1] == [int(neuron) for _, neuron in np.argwhere(seen.hidden[0])]
    assert page.locator("#raster .scatterlayer path.point").count() == len(marks[0]) + len(marks[1])
    stood = live(run.path)
    page.click("#pause")
    wait(lambda: live(run.path) != stood, "it goes on")
    assert [line["event"] for line in events(run)][-2:] == ["paused", "resumed"]
    assert page.said == []


def test_the_keyboard_reaches_and_works_everything(run, page):
    """From the button on, in the order of the page; Enter in a field asks for its number."""
    page.locator("#pause").focus()
    names = []
    while "raster" not in names and len(names) < 40:
        names.append(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
        page.keyboard.press("Tab")
    fields = ["rate.strength", "rate.target", "neuron.surrogate.slope"]
    pairs = [name for field in fields for name in (f"number-{field}", f"Change {field}")]
    assert names[:2] == ["pause", "learning-rate"]
    assert [name for name in names if name in pairs] == pairs
    assert [name for name in names if name in ("curves", "raster")] == ["curves", "raster"]
    number(page, "rate.target").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("0.125")
    page.keyboard.press("Enter")
    wait(lambda: events(run)[-1].get("value") == 0.125, "it changes")
    assert page.said == []


def filled(page) -> bool:
    """Whether every plot is as wide as its place."""
    return page.evaluate(
        "[...document.querySelectorAll('.plot')].every((box) => "
        "Math.abs(box.querySelector('.main-svg').clientWidth - box.clientWidth) < 2)"
    )


def test_a_narrow_dark_page_fits_and_is_dark(page):
    assert filled(page)
    page.set_viewport_size({"width": 360, "height": 800})
    page.emulate_media(color_scheme="dark")
    wait(lambda: page.wait_for_timeout(100) or filled(page), "the plots follow the page")
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    ink = "getComputedStyle(document.querySelector('#raster .xtick text')).fill"
    until(page, f"{ink} === 'rgb(232, 234, 237)'")
    assert page.said == []
