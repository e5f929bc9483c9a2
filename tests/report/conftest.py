"""Two finished runs of the tiny task, one of them with names that try to break out of the page."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from adam import lenient_adam  # noqa: F401  # a fixture
from tiny import TINY, make_tiny
from tracegrad.data.registry import TASKS, Entry
from tracegrad.report.page import page
from tracegrad.report.seen import Seen, labels, see
from tracegrad.run.folder import RunFolder
from tracegrad.run.session import Session

HOSTILE = """"><img src=x onerror=alert(1)><b>'&amp;$title"""  # a folder can have this name
BREAKOUT = "</script><script>alert(2)</script>"  # and a state of a user's neuron this one


class Made(NamedTuple):
    """Runs, what a report sees of them, and the page."""

    folders: Sequence[RunFolder]
    seen: Sequence[Seen]
    html: str


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of two epochs."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    config = replace(TINY, learning=replace(TINY.learning, epochs=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "digits", Entry(make_tiny, "two classes", False))
        return Session(Console(quiet=True)).run(config, path).folder


@pytest.fixture(scope="session")
def made(run: RunFolder) -> Made:
    """The page of the run beside a copy with hostile names and another learning rate."""
    other = RunFolder(shutil.copytree(run.path, run.path.parent / HOSTILE))
    text = (other.path / "config.toml").read_text()
    assert "learning_rate = 0.02" in text
    (other.path / "config.toml").write_text(text.replace("_rate = 0.02", "_rate = 0.5"))
    record = other.record()
    assert record is not None and record.factors is not None
    local = {f"emit {BREAKOUT}": value for value in record.factors.local.values()}
    factors = record.factors._replace(local=local)
    line = {"event": "number", "epoch": 1, "batch": 3, "name": BREAKOUT, "value": 0.25}
    (other.path / "events.jsonl").write_text(json.dumps(line) + "\n")
    other.save_record(record._replace(state_name=BREAKOUT, factors=factors))
    folders = [run, other]
    named = labels([folder.path for folder in folders])
    seen = [see(run, named[0], True), see(other, named[1], False)]
    return Made(folders, seen, page(seen))


class Elements(HTMLParser):
    """Tags with their attributes, and the text inside each element that has some."""

    def __init__(self, html: str) -> None:
        HTMLParser.__init__(self)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []  # tag that began last, text
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.tags[-1][0] if self.tags else "", data))

    def all(self, tag: str) -> list[dict[str, Any]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def elements(made: Made) -> Elements:
    return Elements(made.html)


@pytest.fixture
def written(made: Made, tmp_path: Path) -> Path:
    """The page as a file."""
    path = tmp_path / "report.html"
    path.write_text(made.html, encoding="utf-8")
    return path
