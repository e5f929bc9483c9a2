"""The page of a run, served and opened in a browser."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tracegrad.run.control import Wish, ask
from tracegrad.run.folder import RunFolder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TOKEN, PATIENCE = "a-token-of-this-test", 60.0


def wait(what: Callable[[], object], said: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < limit, said
        time.sleep(0.02)


def until(tab, expression: str) -> None:
    """Asked from outside: the page's own policy forbids what playwright would wait with."""
    wait(lambda: tab.evaluate(expression) or tab.wait_for_timeout(20), expression)


@contextmanager
def served(run: RunFolder) -> Iterator[str]:
    """The address of the page."""
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    pytest.importorskip("starlette", reason="starlette is not installed")
    from tracegrad.watch.app import watched

    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = uvicorn.Config(watched(run, TOKEN), log_level="warning", access_log=False)
        server = uvicorn.Server(settings)
        server.config.load()
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        wait(lambda: server.started, "the server starts")
        ask(run.path, Wish())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/{TOKEN}/"
        server.should_exit = server.force_exit = True
        serving.join()


@contextmanager
def opened(run: RunFolder) -> Iterator:
    """A tab with its three plots drawn; what it says on its console is in `said`."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    drive = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with served(run) as address, drive.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1100, "height": 900})
        tab.set_default_timeout(1e3 * PATIENCE)
        tab.said = []
        tab.on("console", lambda message: tab.said.append(message.text))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.goto(address)
        until(tab, "document.querySelectorAll('.js-plotly-plot').length === 3")
        yield tab
        tab.close()
        browser.close()


def events(run: RunFolder) -> list[dict]:
    """What the run wrote down of who watches."""
    path = run.path / "events.jsonl"
    return [json.loads(text) for text in path.read_text().splitlines()] if path.is_file() else []
