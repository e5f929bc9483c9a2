"""The page in a browser beside a stream that learns without end."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from adam import lenient_adam  # noqa: F401  # a fixture
from stream.flow import CLASSES, LINES, SETTINGS, flow
from tracegrad.run.build import Ends
from tracegrad.run.control import Wish, ask, live
from tracegrad.run.folder import RunFolder
from tracegrad.run.record_file import from_npz
from tracegrad.run.snapshot import SNAPSHOT
from tracegrad.stream import Live, Settings, records
from tracegrad.stream.sources.records import Event, Label
from tracegrad.stream.start import begin
from tracegrad.stream.watched import Watched

from .opened import events, until, wait


def endless(ended: threading.Event) -> Iterator[Event | Label]:
    """The same flow again and again, about two thousand steps a second."""
    once, length = flow(400, seed=3), 100_000
    for turn in range(1_000_000):
        for record in once:
            if ended.is_set():
                return
            yield record._replace(time=record.time + turn * length)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[RunFolder]:
    """A stream that learns in a thread for as long as the test lasts."""
    path, ended = tmp_path_factory.mktemp("streams"), threading.Event()
    (path / "settings.toml").write_text(SETTINGS)
    start = begin(path / "settings.toml", Ends(LINES, CLASSES, 1e-3), None)
    folder = RunFolder.create(path / "live", start.config)

    def learn() -> None:
        stream = Live(start.learner, start.before.state, records(endless(ended)), Settings())
        watched = Watched(stream, start, folder.path)
        for said in stream:
            watched.after(said)
        watched.end()

    learning = threading.Thread(target=learn)
    learning.start()
    yield folder
    ask(folder.path, Wish())
    ended.set()
    learning.join()


def test_it_shows_where_the_stream_stands_and_what_it_saw(run, page):
    until(page, "document.getElementById('curves').data[0].x.length > 2")
    state = page.locator("#state").text_content()
    assert state.startswith("eprop on a stream: running, ") and state.endswith(" steps learned.")
    assert page.locator("#loss-of").text_content() == "loss of the last labels"
    assert float(page.locator("#loss").text_content()) > 0
    assert page.locator("#accuracy").text_content().endswith(" %")
    steps, losses, shares = page.evaluate(
        "[0, 0, 1].map((at, i) => document.getElementById('curves').data[at][i ? 'y' : 'x'])"
    )
    assert steps == sorted(steps) and len(losses) == len(shares) == len(steps)
    assert "The last steps of the stream." in page.locator("#raster-text").text_content()
    assert len(from_npz(run.path / SNAPSHOT).inputs) == 100
    assert np.all(np.asarray(shares) <= 1.0) and not page.locator("#progress").is_visible()
    assert page.said == []


def test_it_pauses_and_changes_its_numbers(run, page):
    page.click("#pause")
    wait(lambda: events(run) and events(run)[-1]["event"] == "paused", "it pauses")
    stood = live(run.path)
    page.wait_for_timeout(800)
    assert live(run.path) == stood
    page.click("#pause")
    wait(lambda: live(run.path) != stood, "it goes on")
    page.locator("[id='number-neuron.surrogate.slope']").fill("2.5")
    page.get_by_role("button", name="Change neuron.surrogate.slope", exact=True).click()
    until(page, "document.getElementById('made').textContent.includes('slope')")
    line = events(run)[-1]
    assert (line["event"], line["name"], line["value"]) == ("number", "neuron.surrogate.slope", 2.5)
    assert page.locator("#made").text_content() == (
        f"neuron.surrogate.slope: It was 4; then 2.5 after step {line['batch']}."
    )
    assert page.said == []
